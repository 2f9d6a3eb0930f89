"""``daystore demo``: the main job, end to end."""

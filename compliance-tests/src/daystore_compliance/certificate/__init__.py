"""What a run says of a backend: profiles, waivers, verdict, and the certificate."""

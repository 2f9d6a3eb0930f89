"""Money that many processes move across several backends, while they are killed and their requests are cut off.

Each transfer is one transaction over up to three backends: the account that pays, the account that gets, and a
record of the transfer itself. Processes are killed at random instants and at every step of the commit, replies are
dropped on their way, and servers that keep their data are killed and started again. In the end every account has
exactly what the records of the transfers say, every transfer that was acknowledged is among them, and nothing of
any transaction is left behind.
"""

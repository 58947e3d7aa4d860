"""The sandbox's userdb: how its Dovecot knows where a user's mail lies, and whom there is.

That is a site's own, and so are these three, as sites have them: `static` is for
everybody whom mailauth knows, which Dovecot asks before it takes mail for somebody;
`passwd-file` and `short` list users themselves, by full and by short names. The lists
are empty at first: who needs a user there writes a line. Writes files; starts nothing.
"""

from __future__ import annotations

from .ground import Ground

KINDS = ("static", "short", "passwd-file")
USERS = "/etc/dovecot/users"


def write(ground: Ground, kind: str, series: str, uid: int, gid: int) -> str:
    """Make what the userdb needs; return its block of the configuration."""
    if kind != "static":
        ground.at(USERS).write_text("")
    blocks = {"2.3": BLOCKS_2_3, "2.4": BLOCKS_2_4}[series]
    return blocks[kind].format(uid=uid, gid=gid, mail=ground.inner("/var/mail"), users=ground.inner(USERS))


BLOCKS_2_3 = {
    "static": """userdb {{
  driver = static
  args = uid={uid} gid={gid} home={mail}/%d/%n
}}
""",
    "passwd-file": """userdb {{
  driver = passwd-file
  args = {users}
}}
""",
    # The user of a login is the account, local@domain; the list has the part before the @.
    "short": """userdb {{
  driver = passwd-file
  args = username_format=%n {users}
}}
""",
}

BLOCKS_2_4 = {
    "static": """userdb static {{
  fields {{
    uid = {uid}
    gid = {gid}
    home = {mail}/%{{user | domain}}/%{{user | username}}
  }}
}}
""",
    "passwd-file": """userdb passwd-file {{
  passwd_file_path = {users}
}}
""",
    "short": """userdb passwd-file {{
  passwd_file_path = {users}
  auth_username_format = %{{user | username}}
}}
""",
}

"""How long the arbiter waits for the server, and how often it asks again."""

CREATED_SECONDS = 30.0
"""How long the server may take to answer ``response.create``."""
AUTO_SECONDS = 5.0
"""How long after the user's speech the server may take to make its own response."""
SPEECH_SECONDS = 10.0
"""How long after the user's last audio a speech is taken to be over that the server does not end."""
QUIET_SECONDS = 60.0
"""How long a response may say nothing before it is stopped."""
STOP_SECONDS = 10.0
"""How long the server may take to stop a response."""
SERVER_CALL_SECONDS = 120.0
"""How long the server may take over a tool that it runs itself."""
SERVER_RESULT_SECONDS = 2.0
"""How long after such a tool's end the server may take to tell its result."""
RETRIES = 2
"""How often a failed response is asked for again in one turn."""
BACKOFF_SECONDS = 0.5
BUSY_RETRIES = 4
"""How often a create is sent again that was refused for a response of which we know nothing."""

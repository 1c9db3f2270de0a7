"""The Python game client, blocking and asyncio."""

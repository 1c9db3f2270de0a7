extends Reference
# The errors that this client makes itself, as dictionaries of the same keys as the server's.
#
# Every error that a signal hands over has: code, message, hint (texts), retry_after_s (a float or
# null), request_id (an int or null) and kind (the kind of the request that failed, or "").
# docs/errors/ of the engine has a page for each code.

const MALFORMED_MESSAGE = "NPC201"
const INVALID_MESSAGE = "NPC202"
const UNKNOWN_KIND = "NPC203"
const FRAME_TOO_LARGE = "NPC206"
const CONVERSATION_CLOSED = "NPC303"
const REQUEST_TIMEOUT = "NPC311"
const CONNECTION_LOST = "NPC313"


# Returns a new error.
static func make(code, message, hint = ""):
	return {
		"code": code,
		"message": message,
		"hint": hint,
		"retry_after_s": null,
		"request_id": null,
		"kind": "",
	}


# Returns the error that an `error` message of the server tells.
static func from_reply(reply):
	var error = make(reply["code"], reply["message"], reply["hint"])
	error["retry_after_s"] = reply.get("retry_after_s")
	error["request_id"] = reply["request_id"]
	return error

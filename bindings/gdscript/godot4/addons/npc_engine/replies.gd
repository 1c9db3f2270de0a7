extends RefCounted
# What the server may send: the fields of each kind that this client needs, and their types.
# Fields that are not listed are ignored, so that a later server may add some.

const Errors = preload("errors.gd")

const SAME_RELEASE = "use a client and an engine of the same release"

const TEXT = [TYPE_STRING]
const WHOLE = [TYPE_INT]
const DATA = [TYPE_DICTIONARY]
const LIST = [TYPE_ARRAY]
# An integer may stand where a float is meant.
const NUMBER = [TYPE_FLOAT, TYPE_INT]

const MAX_REQUEST_ID = 9007199254740991

const FIELDS = {
	"welcome": {"protocol_version": WHOLE, "engine_version": TEXT, "limits": DATA},
	"characters": {"characters": LIST},
	"conversation_opened": {"conversation_id": TEXT, "greeting": TEXT},
	"conversation_closed": {"conversation_id": TEXT},
	"token": {"conversation_id": TEXT, "text": TEXT},
	"sentence": {"conversation_id": TEXT, "index": WHOLE, "text": TEXT},
	"action_call": {"conversation_id": TEXT, "call_id": TEXT, "name": TEXT, "arguments": DATA},
	"turn_end":
	{
		"conversation_id": TEXT,
		"text": TEXT,
		"finish_reason": TEXT,
		"source": TEXT,
		"trace": DATA,
	},
	"ok": {},
	"controls_set": {"conversation_id": TEXT, "controls": DATA, "in_force": DATA},
	"undone": {"conversation_id": TEXT, "remaining": WHOLE},
	"health_report": {"engine": DATA, "server": DATA},
	"metrics_report": {"text": TEXT},
	"error": {"code": TEXT, "message": TEXT, "hint": TEXT},
}

# Fields that may be absent or null, in any kind that has them.
const OPTIONAL = {
	"cancelled": [TYPE_BOOL, TYPE_NIL],
	"retry_after_s": [TYPE_FLOAT, TYPE_INT, TYPE_NIL],
	"idempotency_key": [TYPE_STRING, TYPE_NIL],
	"cost": [TYPE_FLOAT, TYPE_INT, TYPE_NIL],
}

const LIMITS = {
	"max_frame_bytes": WHOLE,
	"max_message_depth": WHOLE,
	"max_text_chars": WHOLE,
	"max_conversations": WHOLE,
	"client_timeout_s": NUMBER,
	"turn_deadline_s": NUMBER,
	"action_timeout_s": NUMBER,
}

const CHARACTER = {"id": TEXT, "name": TEXT, "role": TEXT}

# The last reply to each kind of request; `say` has others before it.
const ANSWERS = {
	"hello": "welcome",
	"list_characters": "characters",
	"open_conversation": "conversation_opened",
	"close_conversation": "conversation_closed",
	"say": "turn_end",
	"cancel": "ok",
	"action_result": "ok",
	"world_event": "ok",
	"set_state": "ok",
	"set_controls": "controls_set",
	"undo": "undone",
	"bye": "ok",
	"health": "health_report",
	"metrics": "metrics_report",
}
const TURN_EVENTS = ["token", "sentence", "action_call"]


# Returns the request id that a message names, or null where it has no legal one.
static func request_id_of(fields):
	var request_id = fields.get("request_id")
	if typeof(request_id) == TYPE_INT and request_id >= 0 and request_id <= MAX_REQUEST_ID:
		return request_id
	return null


# Returns the error that a decoded message is, or null where it is one the server may send.
static func check(fields):
	var kind = fields.get("kind")
	if typeof(kind) != TYPE_STRING:
		return _invalid("kind: a text is required")
	if not FIELDS.has(kind):
		return Errors.make(
			Errors.UNKNOWN_KIND,
			"unknown kind '%s'" % kind.left(128),
			SAME_RELEASE
		)
	if request_id_of(fields) == null and (kind != "error" or fields.get("request_id") != null):
		return _invalid("%s.request_id: an integer is required" % kind)
	var error = _check_fields(kind, fields, FIELDS[kind])
	if error == null:
		error = _check_optional(kind, fields)
	if error == null and kind == "welcome":
		error = _check_limits(fields["limits"])
	if error == null and kind == "characters":
		error = _check_characters(fields["characters"])
	return error


static func _check_fields(where, fields, types):
	for name in types:
		if not fields.has(name):
			return _invalid("%s.%s: missing" % [where, name])
		if not types[name].has(typeof(fields[name])):
			return _invalid("%s.%s: of a wrong type" % [where, name])
	return null


static func _check_optional(where, fields):
	for name in OPTIONAL:
		if fields.has(name) and not OPTIONAL[name].has(typeof(fields[name])):
			return _invalid("%s.%s: of a wrong type" % [where, name])
	return null


static func _check_limits(limits):
	var error = _check_fields("welcome.limits", limits, LIMITS)
	for name in LIMITS:
		if error == null and limits[name] <= 0:
			error = _invalid("welcome.limits.%s: must be positive" % name)
	return error


static func _check_characters(characters):
	for entry in characters:
		if typeof(entry) != TYPE_DICTIONARY:
			return _invalid("characters: an entry is not a map")
		var error = _check_fields("characters", entry, CHARACTER)
		if error != null:
			return error
	return null


static func _invalid(message):
	return Errors.make(Errors.INVALID_MESSAGE, message, SAME_RELEASE)

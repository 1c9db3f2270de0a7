extends Reference
# One request and what came of it.
#
#     var health = yield(client.health(), "completed")
#     print(health.error if health.error else health.reply["engine"])

# A token, sentence or action_call of a `say`, as a Dictionary of the protocol's fields.
signal event(reply)
# It is over, once for every request: `reply` or `error` is set. The argument is this object.
signal completed(request)

const Errors = preload("errors.gd")
const Replies = preload("replies.gd")

# 0 until it is sent.
var id = 0
var kind = ""
var fields = {}
var timeout_ms = 0
# When an answer is overdue, by OS.get_ticks_msec().
var deadline_ms = 0
var is_done = false
# The last reply's fields, or null.
var reply = null
# Why it failed (see errors.gd), or null.
var error = null


func _init(its_kind, its_fields):
	kind = its_kind
	fields = its_fields


# Counts in a reply that `Replies.check` has passed. Returns whether it was the last.
func take(message):
	var answer = message["kind"]
	if answer == Replies.ANSWERS[kind]:
		reply = message
		_complete()
	elif answer == "error":
		fail(Errors.from_reply(message))
	elif kind == "say" and Replies.TURN_EVENTS.has(answer):
		emit_signal("event", message)
	else:
		fail(
			Errors.make(
				Errors.INVALID_MESSAGE,
				"the server answered %s with %s" % [kind, answer],
				Replies.SAME_RELEASE
			)
		)
	return is_done


# Ends it by an error, of which it keeps a copy of its own.
func fail(why):
	error = why.duplicate()
	error["kind"] = kind
	if id != 0:
		error["request_id"] = id
	_complete()


func _complete():
	if is_done:
		return
	is_done = true
	emit_signal("completed", self)

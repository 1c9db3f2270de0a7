extends RefCounted
# One player and one character. NpcClient.open() makes it; it lives until `closed`.
#
# Methods return at once; what comes of them arrives as signals while the client polls. Each returns
# its Request, whose `completed` tells about that one call.

# The character is there; greeting may be empty.
signal opened(greeting)
# A piece of speech: append it to what is shown.
signal token(text)
# One whole sentence, after the tokens that spell it. index: 0 for a reply's first sentence.
signal sentence(index, text)
# Run an action of the game, then call `answer` or `refuse`. arguments: a Dictionary; `action_call`
# has the rest.
signal action_called(call_id, name, arguments)
# The turn is over. finish_reason: stop, length, cancelled or guard; source: model, fallback, none.
signal turn_ended(text, finish_reason, source)
# A call of this conversation failed; error is a Dictionary (see errors.gd) with its `kind`.
# With kind "say" the turn is over.
signal failed(error)
# Nothing more will come, because of `close` or of the connection's end.
signal closed

enum { OPENING, OPEN, CLOSED }

const Errors = preload("errors.gd")
const Request = preload("request.gd")

# The server's id; empty until `opened`.
var id = ""
var character_id = ""
var greeting = ""
# The latest action_called with all its fields, or null: idempotency_key (run calls of one key once),
# cost (what the action declares that a call costs, or null).
var action_call = null

var _state = OPENING
var _connection = null
# Requests that wait for the id.
var _held = []
var _turn = null


# For NpcClient; a game calls NpcClient.open().
func _init(connection, fields):
	_connection = connection
	character_id = fields["character_id"]
	var request = Request.new("open_conversation", fields)
	request.connect("completed", Callable(self, "_on_opened"))
	_connection.start(request)


# The player speaks; token, sentence, action_called and, last, turn_ended or failed follow.
#
# options: controls (a Dictionary, for this turn alone, as in `set_controls`); seed (0 to 4294967295:
# the same seed after the same talk draws alike).
func say(text, options = {}):
	var fields = {"text": text}
	for name in options:
		fields[name] = options[name]
	var request = _request("say", fields)
	request.connect("event", Callable(self, "_on_event"))
	_start(request)
	return request


# Stops the running turn, whose turn_ended still comes.
func cancel():
	return _start(_request("cancel", {}))


# Says what an action did. result: a Dictionary.
func answer(call_id, result):
	return _start(_request("action_result", {"call_id": call_id, "result": result}))


# Says why an action did not happen, in words the character may use.
func refuse(call_id, reason):
	return _start(_request("action_result", {"call_id": call_id, "error": reason}))


# Tells this character what the game knows now. game_time: a float of the game's clock, or null.
func world_event(text, game_time = null):
	return _start(_request("world_event", {"text": text, "game_time": game_time}))


# Changes the game's state as this character sees it: trust, quests, place, factions, hour, flags.
func set_state(changes):
	return _start(_request("set_state", {"changes": changes}))


# Changes how the character talks here, from the next turn on: a Dictionary of controls such as
# {"max_words": 20}; null gives one back. The reply has `controls` and `in_force`. A wrong one fails
# with NPC316.
func set_controls(controls):
	return _start(_request("set_controls", {"controls": controls}))


# Takes back the last turns. The reply has `remaining`: how many are left that can be taken back.
# Fails with NPC304 while a turn runs and with NPC317 where there are fewer.
func undo(turns = 1):
	return _start(_request("undo", {"turns": turns}))


# Ends the conversation; a running turn is cancelled. `closed` follows.
func close():
	return _start(_request("close_conversation", {}))


# Whether a turn is running, from `say` to turn_ended or failed.
func is_speaking():
	return _turn != null


# Whether `closed` has come.
func is_closed():
	return _state == CLOSED


# For NpcClient: the connection is gone.
func end():
	_close()


func _request(kind, fields):
	var request = Request.new(kind, fields)
	request.connect("completed", Callable(self, "_on_completed"))
	return request


func _start(request):
	if request.kind == "say" and _turn == null and _state != CLOSED:
		_turn = request
	match _state:
		OPENING:
			_held.append(request)
		OPEN:
			request.fields["conversation_id"] = id
			_connection.start(request)
		CLOSED:
			var error = Errors.make(
				Errors.CONVERSATION_CLOSED, "this conversation was closed", "open a new one"
			)
			_connection.fail_later(request, error)
	return request


func _on_opened(request):
	if request.error != null:
		var held = _held
		_held = []
		for waiting in held:
			_connection.fail_later(waiting, request.error)
		emit_signal("failed", request.error)
		_close()
		return
	id = request.reply["conversation_id"]
	greeting = request.reply["greeting"]
	_state = OPEN
	var held = _held
	_held = []
	for waiting in held:
		_start(waiting)
	emit_signal("opened", greeting)


func _on_event(reply):
	match reply["kind"]:
		"token":
			emit_signal("token", reply["text"])
		"sentence":
			emit_signal("sentence", reply["index"], reply["text"])
		"action_call":
			action_call = reply
			emit_signal("action_called", reply["call_id"], reply["name"], reply["arguments"])


func _on_completed(request):
	if request == _turn:
		_turn = null
	if request.error != null:
		emit_signal("failed", request.error)
	elif request.kind == "say":
		var reply = request.reply
		emit_signal("turn_ended", reply["text"], reply["finish_reason"], reply["source"])
	elif request.kind == "close_conversation":
		_close()


func _close():
	if _state == CLOSED:
		return
	_state = CLOSED
	emit_signal("closed")

extends Node
# The game's client of an NPC dialogue engine. As a node it polls by itself in every frame, also
# while the game is paused; outside the tree call `poll` yourself.
#
#     $NpcClient.connect_to_server("tcp://127.0.0.1:5570")
#     var talk = $NpcClient.open("hesta", "player-1")
#     talk.connect("token", self, "_on_token")
#     talk.say("What do you sell?")
#
# Nothing here waits: every method returns at once and signals come from `poll`. What is called
# before the connection stands is sent as soon as it does. Free the node at any moment (queue_free).

# The server has said welcome. welcome: engine_version, protocol_version, limits.
signal connected(welcome)
# No connection could be had, or it has ended; all that was open on it has failed. Connect anew.
signal connection_lost(error)
# A frame that could not be read, or an error that no open request claims; the connection lives.
signal failed(error)

const Connection = preload("connection.gd")
const Conversation = preload("conversation.gd")
const Request = preload("request.gd")

const DEFAULT_ADDRESS = "tcp://127.0.0.1:5570"
# Handling what has arrived stops after this long and goes on in the next frame.
const POLL_BUDGET_US = 500

# How long one answer may take; a turn's next event may take the server's turn deadline more.
export var timeout_s = 10.0
# What this client is called in the server's log.
export var client_name = "npc_engine for Godot"

var _connection = Connection.new()
var _conversations = []
# Conversations of a connection that was closed: they end in the next poll.
var _leaving = []


func _init():
	pause_mode = PAUSE_MODE_PROCESS
	_connection.connect("welcomed", self, "_on_welcomed")
	_connection.connect("lost", self, "_on_lost")
	_connection.connect("strayed", self, "_on_strayed")


func _process(_delta):
	poll()


func _notification(what):
	if what == NOTIFICATION_PREDELETE:
		_connection.close()


# Connects and says hello; `connected` or `connection_lost` follows. A server that is not up yet is
# tried again for timeout_s. Whatever was open before is closed.
func connect_to_server(address = DEFAULT_ADDRESS):
	disconnect_from_server()
	_connection.timeout_ms = int(timeout_s * 1000)
	_connection.open(address, client_name)


# Says bye and disconnects; conversations end, open requests fail in the next poll.
func disconnect_from_server():
	_connection.close()
	_leaving += _conversations
	_conversations = []


# Whether the server has welcomed this client and is still there.
func is_up():
	return _connection.is_up()


# What the server said at hello (engine_version, limits), or null.
func get_welcome():
	return _connection.welcome


# Opens a conversation and returns it; its `opened` or `failed` follows.
#
# player_id: the game's stable id of the player.
# options: player_name (text); state (Dictionary: trust, quests, place, factions, hour, flags);
# actions (the names of the sheet's actions that this game runs, or ["*"] for all); declare_actions
# (an array of the game's own: name, description, and what docs/protocol.md lists).
func open(character_id, player_id, options = {}):
	var fields = {
		"character_id": character_id,
		"player_id": player_id,
		"player_name": options.get("player_name"),
		"state": options.get("state", {}),
		"actions": options.get("actions", []),
	}
	# Left out where it is not used: an older server does not know it.
	if options.has("declare_actions"):
		fields["declare_actions"] = options["declare_actions"]
	var conversation = Conversation.new(_connection, fields)
	_forget_closed()
	_conversations.append(conversation)
	return conversation


# Asks who can be talked to; the reply has `characters`, an array of {id, name, role}.
func list_characters():
	return request("list_characters", {})


# Tells the characters of all this client's conversations what the game knows now.
func world_event(text, game_time = null):
	return request("world_event", {"text": text, "game_time": game_time})


# Asks how the engine is; the reply has `engine` and `server`.
func health():
	return request("health", {})


# Asks for the metrics; the reply has `text`, in the Prometheus format.
func metrics():
	return request("metrics", {})


# Sends any request that has one answer. Returns its Request, whose `completed` comes from `poll`.
func request(kind, fields):
	var a_request = Request.new(kind, fields)
	_connection.start(a_request)
	return a_request


# Does what can be done now and emits the signals of what has come; never waits.
func poll():
	_connection.poll(POLL_BUDGET_US)
	var leaving = _leaving
	_leaving = []
	for conversation in leaving:
		conversation.end()


func _on_welcomed(welcome):
	emit_signal("connected", welcome)


func _on_lost(error):
	var conversations = _conversations
	_conversations = []
	for conversation in conversations:
		conversation.end()
	emit_signal("connection_lost", error)


func _on_strayed(error):
	emit_signal("failed", error)


func _forget_closed():
	var still_open = []
	for conversation in _conversations:
		if not conversation.is_closed():
			still_open.append(conversation)
	_conversations = still_open

extends Control
# A talk with one character: type a line, press Enter, read the answer as it is spoken. The smith
# sells swords out of this scene's own purse, and the scene connects again when the server is gone.

const CHARACTER = "hesta"
const SWORD_PRICE = 40
const RECONNECT_S = 2.0

var purse = 100
var talk = null

var _reconnect_in_s = 0.0

onready var _client = $NpcClient
onready var _line = $Line
onready var _speech = $Speech


func _ready():
	_client.connect("connected", self, "_on_connected")
	_client.connect("connection_lost", self, "_on_connection_lost")
	_line.connect("text_entered", self, "_on_text_entered")
	_client.connect_to_server(_address())


func _process(delta):
	if _reconnect_in_s > 0.0:
		_reconnect_in_s -= delta
		if _reconnect_in_s <= 0.0:
			_client.connect_to_server(_address())


func _address():
	var address = OS.get_environment("NPC_ADDRESS")
	return address if address != "" else _client.DEFAULT_ADDRESS


func _on_connected(_welcome):
	var options = {"player_name": "Ada", "state": {"trust": 20}, "actions": ["sell_item"]}
	talk = _client.open(CHARACTER, "player-1", options)
	talk.connect("opened", self, "_on_opened")
	talk.connect("token", self, "_show")
	talk.connect("action_called", self, "_on_action_called")
	talk.connect("turn_ended", self, "_on_turn_ended")
	talk.connect("failed", self, "_on_failed")


func _on_connection_lost(error):
	_show("\n[%s: %s]\n" % [error["code"], error["message"]])
	_reconnect_in_s = RECONNECT_S


func _on_text_entered(text):
	if text == "" or talk == null:
		return
	_line.clear()
	_show("\n> %s\n" % text)
	talk.say(text)


func _on_opened(greeting):
	_show(greeting + "\n")


func _on_action_called(call_id, _name, arguments):
	var cost = SWORD_PRICE * arguments.get("quantity", 1)
	if cost > purse:
		talk.refuse(call_id, "the player has only %d crowns" % purse)
		return
	purse -= cost
	talk.answer(call_id, {"sold": arguments["item"], "price": cost})


func _on_turn_ended(_text, finish_reason, _source):
	_show("\n" if finish_reason == "stop" else " [%s]\n" % finish_reason)


func _on_failed(error):
	_show("\n[%s: %s]\n" % [error["code"], error["message"]])


func _show(text):
	_speech.add_text(text)

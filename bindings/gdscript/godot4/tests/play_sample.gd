extends SceneTree
# Plays the sample scene in real frames against a conformance server:
#
#     NPC_ADDRESS=tcp://127.0.0.1:40001 godot3-server --path . -s tests/play_sample.gd
#
# Types a line and leaves in the middle of the next turn. Exits with 0 where the answer was shown.
# The conformance server has other characters than the sample's: NPC302 and the like are shown too.

const LIMIT_MS = 10000

var _scene = null
var _talk = null
var _was_typed = false


func _init():
	_scene = load("res://sample/dialogue.tscn").instantiate()
	get_root().add_child(_scene)


func _process(_delta):
	if Time.get_ticks_msec() > LIMIT_MS:
		print("FAIL nothing was shown in time")
		quit(1)
		return false
	if _talk == null and _scene.get_node("NpcClient").is_up():
		# The conformance server knows `mara`, not the smith.
		_talk = _scene.get_node("NpcClient").open("mara", "ada", {"actions": ["sell_item"]})
		_talk.connect("turn_ended", Callable(self, "_on_turn_ended"))
		_talk.connect("action_called", Callable(_scene, "_on_action_called"))
		_scene.talk = _talk
		_scene.get_node("Line").emit_signal("text_submitted", "act sword")
	return false


func _on_turn_ended(text, _finish_reason, _source):
	if _was_typed:
		return
	_was_typed = true
	var is_sold = text.find("\"sold\":\"sword\"") >= 0 and _scene.purse == 20
	print("ok the sample sold a sword" if is_sold else "FAIL %s, purse %d" % [text, _scene.purse])
	# In the middle of a turn: the process must still end cleanly.
	_talk.say("wait")
	quit(0 if is_sold else 1)

extends Reference
# Writes down what a conversation's signals say, in order.

const NO_CONVERSATION = "no conversation"

# One [signal, argument...] each.
var events = []
# Replies of the turns' ends, with the trace.
var talk = null


func _init(conversation):
	talk = conversation
	for name in ["opened", "token", "turn_ended", "failed"]:
		talk.connect(name, self, "_on_" + name)
	for name in ["sentence", "action_called", "closed"]:
		talk.connect(name, self, "_on_" + name)


# Returns the events of one signal.
func of(name):
	var found = []
	for event in events:
		if event[0] == name:
			found.append(event)
	return found


# Returns the text of the last turn that ended, or null.
func last_text():
	var ends = of("turn_ended")
	return ends[-1][1] if ends.size() > 0 else null


# Returns the codes of all failures.
func codes():
	var found = []
	for event in of("failed"):
		found.append(event[1]["code"])
	return found


func _on_opened(greeting):
	events.append(["opened", greeting])


func _on_token(text):
	events.append(["token", text])


func _on_sentence(index, text):
	events.append(["sentence", index, text])


func _on_action_called(call_id, name, arguments):
	events.append(["action_called", call_id, name, arguments])


func _on_turn_ended(text, finish_reason, source):
	events.append(["turn_ended", text, finish_reason, source])


func _on_failed(error):
	events.append(["failed", error])


func _on_closed():
	events.append(["closed"])

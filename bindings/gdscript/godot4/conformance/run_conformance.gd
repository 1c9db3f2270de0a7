extends SceneTree
# Runs the cases of bindings/CONFORMANCE.md; conformance.sh starts it.
#
# NPC_ADDRESSES: the line of `npc-engine conformance-server`. NPC_CASE: only this case.
# Exits with 0 where no case failed.

const FaultCases = preload("fault_cases.gd")
const Harness = preload("harness.gd")
const TalkCases = preload("talk_cases.gd")

const NUM_WARM_UP = 100
const NUM_ROUND_TRIPS = 1000

var _num_failed = 0
var _harness = Harness.new()


func _init():
	_harness.place = JSON.parse_string(OS.get_environment("NPC_ADDRESSES"))
	if typeof(_harness.place) != TYPE_DICTIONARY:
		printerr("NPC_ADDRESSES is not the line of `npc-engine conformance-server`")
		quit(2)
		return
	for cases in [TalkCases.new(_harness), FaultCases.new(_harness)]:
		for name in cases.CASES:
			if OS.get_environment("NPC_CASE") in ["", name]:
				_run(cases, name)
	if OS.get_environment("NPC_CASE") == "":
		_tell_poll_times()
		_measure_round_trips()
	quit(1 if _num_failed > 0 else 0)


func _run(cases, name):
	_harness.begin()
	# A script error ends a case's function early: then it returns null.
	var answer = cases.call(name)
	_harness.end()
	if answer == null and _harness.why == "":
		_harness.why = "the case ended early; see the console"
	if _harness.why != "":
		_num_failed += 1
		print("FAIL %s: %s" % [name, _harness.why])
	elif typeof(answer) == TYPE_STRING:
		print("skip %s: %s" % [name, answer])
	else:
		print("ok ", name)


func _tell_poll_times():
	_tell_highest("poll_max_ms", _harness.poll_us)
	# Not in the contract: the same without the waits for a processor, for a loaded machine.
	_tell_highest("poll_own_max_ms", _harness.own_us)


func _tell_highest(name, times):
	times.sort()
	var high_ms = times[int(times.size() * 0.999)] / 1000.0
	print("time %s %.3f %.3f" % [name, high_ms, times[-1] / 1000.0])


func _measure_round_trips():
	_harness.begin()
	var client = _harness.up("zmq")
	var times = []
	for i in range(NUM_WARM_UP + NUM_ROUND_TRIPS):
		var begin_us = Time.get_ticks_usec()
		var request = client.health()
		while not request.is_done:
			client.poll()
		if i >= NUM_WARM_UP:
			times.append(Time.get_ticks_usec() - begin_us)
	_harness.end()
	times.sort()
	var middle = times[int(times.size() * 0.5)]
	print("time round_trip_us %d %d" % [middle, times[int(times.size() * 0.99)]])

extends Reference
# The codec against the protocol's golden vectors, its limits, and frames of chance.

const Decoder = preload("res://addons/npc_engine/msgpack_decoder.gd")
const Encoder = preload("res://addons/npc_engine/msgpack_encoder.gd")
const Replies = preload("res://addons/npc_engine/replies.gd")

const FOR_EVER = 1 << 62
const MAX_DEPTH = 16
const MAX_BYTES = 1 << 20
# Godot's strings cannot hold a zero: this vector's text is another, and is checked by itself.
const WITH_ZERO = "text with a line break, a quote and a zero"

var _checks = null
var _random = RandomNumberGenerator.new()


func _init(checks):
	_checks = checks


# wire: the folder of messages.json and refused.json.
func run(wire, seed_of_chance, num_frames):
	_random.seed = seed_of_chance
	_vectors(_checks.read_json(wire + "/messages.json")["messages"])
	_refusals(_checks.read_json(wire + "/refused.json")["frames"])
	_numbers()
	_limits()
	_steps()
	_chance(num_frames)


func _vectors(vectors):
	for vector in vectors:
		var what = vector["name"]
		var bytes = _checks.from_hex(vector["hex"])
		var decoder = _decode(bytes)
		_checks.holds(decoder.error == null, what + " is decoded")
		if decoder.error != null:
			continue
		if vector["name"] == WITH_ZERO:
			_checks.holds(decoder.value["text"] == "\"\n" + char(0xFFFD), what)
			continue
		_checks.holds(_checks.same(decoder.value, vector["meaning"]), what + " means the same")
		if vector["direction"] == "server_to_client":
			_checks.holds(Replies.check(decoder.value) == null, what + " is a legal reply")
		if vector["canonical"]:
			_checks.holds(_encode(decoder.value).hex_encode() == vector["hex"], what + " again")


func _refusals(frames):
	for frame in frames:
		var decoder = _decode(_checks.from_hex(frame["hex"]))
		var error = decoder.error
		# What is wrong in a request's fields is the server's to tell; here it is no reply.
		if error == null:
			error = Replies.check(decoder.value)
			_checks.holds(error != null, frame["name"] + " is no reply")
		else:
			_checks.holds(error["code"] == frame["code"], frame["name"])


func _numbers():
	var numbers = [0, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296, 9007199254740993]
	numbers += [9223372036854775807, -1, -32, -33, -128, -129, -32768, -32769, -2147483648]
	numbers += [-2147483649, 1 << 63, 0.0, 1.0, -0.5, 0.1, 1e308, 5e-324, 9007199254740993.0]
	for number in numbers:
		var back = _decode(_encode({"x": number})).value["x"]
		_checks.holds(back == number and typeof(back) == typeof(number), "number %s" % str(number))


func _limits():
	var deep = {}
	for _i in range(MAX_DEPTH - 1):
		deep = {"x": deep}
	_checks.holds(_encode(deep) != null, "16 maps in one another are encoded")
	_checks.holds(_encode({"x": deep}) == null, "17 maps in one another are refused")
	var many = []
	many.resize(4096)
	_checks.holds(_decode(_encode({"x": many})).error == null, "4096 items")
	many.append(null)
	_checks.holds(_encode({"x": many}) == null, "4097 items")
	for bad in [{1: 2}, {"x": INF}, {"x": NAN}, {"x": Vector2(1, 2)}, {"x": PoolByteArray()}]:
		_checks.holds(_encode(bad) == null, "refused: %s" % str(bad))
	var long_text = "x"
	while long_text.length() <= MAX_BYTES:
		long_text += long_text
	var encoder = Encoder.new()
	_checks.holds(encoder.encode({"x": long_text}, MAX_DEPTH, MAX_BYTES) == null, "a long frame")
	_checks.holds(encoder.error["code"] == "NPC206", "a long frame's code")


func _steps():
	# A decoder whose deadline has passed goes on in the next step, and ends with the same.
	var data = {"text": "é🗡".repeat(3000), "list": range(500), "map": {"a": [{"b": null}]}}
	var frame = _encode(data)
	var decoder = Decoder.new(frame, MAX_DEPTH)
	var num_steps = 1
	while not decoder.step(0):
		num_steps += 1
	_checks.holds(num_steps > 20, "many steps")
	_checks.holds(decoder.error == null and _checks.same(decoder.value, data), "the same in steps")


func _chance(num_frames):
	for round_number in range(num_frames):
		var data = _random_map(0)
		var frame = _encode(data)
		var back = _decode(frame)
		var is_same = back.error == null and _encode(back.value) == frame
		_checks.holds(is_same, "round %d: there and back" % round_number)
		# Bytes changed, cut or of chance: a message or a coded error, nothing else.
		var broken = frame
		match _random.randi() % 3:
			0:
				for _i in range(1 + _random.randi() % 4):
					broken[_random.randi() % broken.size()] = _random.randi() % 256
			1:
				var num_kept = 1 + _random.randi() % broken.size()
				broken = broken.subarray(0, num_kept - 1)
			2:
				broken = PoolByteArray()
				for _i in range(_random.randi() % 64):
					broken.append(_random.randi() % 256)
		var decoder = _decode(broken)
		if decoder.error == null:
			var is_map = typeof(decoder.value) == TYPE_DICTIONARY
			_checks.holds(is_map, "round %d: a map" % round_number)
			Replies.check(decoder.value)
		else:
			_checks.holds(decoder.error["code"] == "NPC201", "round %d: a code" % round_number)


func _random_map(depth):
	var data = {}
	for _i in range(_random.randi() % 6):
		data[_random_text()] = _random_data(depth + 1)
	return data


func _random_data(depth):
	var data = null
	match _random.randi() % (8 if depth < 6 else 6):
		0:
			data = _random.randi() % 2 == 0
		1, 2:
			data = (_random.randi() << 32 | _random.randi()) >> (_random.randi() % 64)
		3:
			data = _random.randf_range(-1000, 1000)
		4:
			data = _random_text()
		6:
			data = []
			for _i in range(_random.randi() % 20):
				data.append(_random_data(depth + 1))
		7:
			data = _random_map(depth)
	return data


func _random_text():
	var text = ""
	for _i in range(_random.randi() % 12):
		text += ["a", "é", "剣", "🗡", " ", "\n"][_random.randi() % 6]
	return text


func _decode(frame):
	var decoder = Decoder.new(frame, MAX_DEPTH)
	decoder.step(FOR_EVER)
	return decoder


func _encode(data):
	return Encoder.new().encode(data, MAX_DEPTH, MAX_BYTES)

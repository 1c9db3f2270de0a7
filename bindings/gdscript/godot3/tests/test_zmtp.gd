extends Reference
# ZMTP without a socket: the same frames whole, byte by byte and in pieces; what ends a connection.

const Zmtp = preload("res://addons/npc_engine/zmtp.gd")

const GREETING = "ff00000000000000017f0301"
const READY = "041c055245414459" + "0b536f636b65742d54797065" + "00000006524f55544552"

var _checks = null


func _init(checks):
	_checks = checks


func run(seed_of_chance, num_rounds):
	_frames_in_pieces()
	_ping()
	_too_long()
	_parts()
	_refusals()
	_chance(seed_of_chance, num_rounds)


# A server's greeting for a mechanism.
func _greeting(mechanism = "NULL"):
	var text = GREETING + mechanism.to_ascii().hex_encode()
	while text.length() < 128:
		text += "0"
	return text


func _frames_in_pieces():
	var long_body = "61".repeat(300)
	var stream = _greeting() + _ready() + "0003010203" + "0000" + "02000000000000012c" + long_body
	var bytes = _checks.from_hex(stream)
	for piece in [1, 2, 7, 64, bytes.size()]:
		var zmtp = Zmtp.new()
		var frames = []
		var at = 0
		while at < bytes.size():
			var end = int(min(bytes.size(), at + piece))
			zmtp.feed(bytes.subarray(at, end - 1))
			at = end
			var frame = zmtp.next_frame()
			while frame != null:
				frames.append(frame.hex_encode())
				frame = zmtp.next_frame()
		_checks.holds(zmtp.state == Zmtp.UP, "up, in pieces of %d" % piece)
		_checks.holds(frames == ["010203", "", long_body], "frames in pieces of %d" % piece)


func _ping():
	var zmtp = _up()
	zmtp.take_output()
	zmtp.feed(_checks.from_hex("040b0450494e470000aabbccdd"))
	zmtp.next_frame()
	_checks.holds(zmtp.take_output().hex_encode() == "040904504f4e47aabbccdd", "a PONG")


func _too_long():
	var zmtp = _up()
	zmtp.max_frame_bytes = 4
	zmtp.feed(_checks.from_hex("0005" + "0102030405" + "000101"))
	_checks.holds(zmtp.next_frame().hex_encode() == "01", "the frame behind a long one")
	_checks.holds(zmtp.take_num_skipped() == 1, "a long one is counted")
	zmtp.feed(_checks.from_hex("0009" + "0102"))
	_checks.holds(zmtp.next_frame() == null, "a long one that is not whole")
	zmtp.feed(_checks.from_hex("03040506070809" + "000107"))
	_checks.holds(zmtp.next_frame().hex_encode() == "07", "the frame behind it")
	zmtp.feed(_checks.from_hex("0041"))
	zmtp.next_frame()
	_checks.holds(zmtp.state == Zmtp.FAILED, "one far beyond the limit ends it")


func _parts():
	var zmtp = _up()
	zmtp.feed(_checks.from_hex("010101" + "010102" + "000103" + "000104"))
	_checks.holds(zmtp.next_frame().hex_encode() == "04", "the frame behind a message of three")
	_checks.holds(zmtp.take_num_skipped() == 1, "one message was dropped")


func _refusals():
	var streams = {
		"HTTP": "HTTP/1.1 400".to_ascii().hex_encode(),
		"ZMTP 2": "ff00000000000000017f02",
		"CURVE": _greeting("CURVE"),
		"a message before READY": _greeting() + "000101",
		"unknown flags": _greeting() + _ready() + "0800",
		"ERROR": _greeting() + "0409054552524f5202" + "6e6f",
		"two READY": _greeting() + _ready() + _ready(),
		"an empty command": _greeting() + _ready() + "0400",
		"a command cut short": _greeting() + _ready() + "0402ff00",
		"a negative size": _greeting() + _ready() + "02ffffffffffffffff",
	}
	for what in streams:
		var zmtp = Zmtp.new()
		zmtp.feed(_checks.from_hex(streams[what]))
		zmtp.next_frame()
		_checks.holds(zmtp.state == Zmtp.FAILED and zmtp.failure != "", what + " ends it")


func _chance(seed_of_chance, num_rounds):
	var random = RandomNumberGenerator.new()
	random.seed = seed_of_chance
	for round_number in range(num_rounds):
		var zmtp = _up() if random.randi() % 4 > 0 else Zmtp.new()
		var num_frames = 0
		for _i in range(20):
			var bytes = PoolByteArray()
			for _j in range(random.randi() % 40):
				bytes.append(random.randi() % (256 if random.randi() % 2 == 0 else 8))
			zmtp.feed(bytes)
			while zmtp.next_frame() != null:
				num_frames += 1
		var is_known = zmtp.state >= Zmtp.GREETING and zmtp.state <= Zmtp.FAILED
		_checks.holds(is_known and num_frames <= 800, "bytes of chance %d" % round_number)


func _ready():
	return READY


func _up():
	var zmtp = Zmtp.new()
	zmtp.feed(_checks.from_hex(_greeting() + _ready()))
	zmtp.next_frame()
	return zmtp

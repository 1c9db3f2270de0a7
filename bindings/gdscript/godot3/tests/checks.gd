extends Reference
# Counts what held and what did not; prints what did not.

var num_held = 0
var num_failed = 0


# Counts a check in; `what` says what should hold.
func holds(is_true, what):
	if is_true:
		num_held += 1
	else:
		num_failed += 1
		print("FAIL ", what)


# Returns the bytes that a text of hexadecimal digits spells.
static func from_hex(text):
	var bytes = PoolByteArray()
	var digits = "0123456789abcdef"
	for i in range(0, text.length(), 2):
		bytes.append(digits.find(text[i]) * 16 + digits.find(text[i + 1]))
	return bytes


# Whether data from a frame is what JSON says. There every number is a float, whose last digit
# Godot's reader may miss, and fields that the frame left out are null.
static func same(data, meant):
	if typeof(data) == TYPE_INT or typeof(data) == TYPE_REAL:
		# Not float(data): in Godot 3.2 that rounds an integer to 24 bits.
		var is_number = typeof(meant) == TYPE_REAL or typeof(meant) == TYPE_INT
		return is_number and abs(data * 1.0 - meant) <= abs(meant) * 1e-14
	if typeof(data) != typeof(meant):
		return false
	if typeof(data) == TYPE_ARRAY:
		if data.size() != meant.size():
			return false
		for i in range(data.size()):
			if not same(data[i], meant[i]):
				return false
		return true
	if typeof(data) == TYPE_DICTIONARY:
		for key in meant:
			if not same(data.get(key), meant[key]):
				return false
		for key in data:
			if not meant.has(key):
				return false
		return true
	if typeof(data) == TYPE_STRING:
		return data == _joined(meant)
	return data == meant


# Returns what a JSON file holds.
static func read_json(path):
	var file = File.new()  #@3
	if file.open(path, File.READ) != OK:  #@3
	#@4 var file = FileAccess.open(path, FileAccess.READ)
	#@4 if file == null:
		print("FAIL cannot read ", path)
		return null
	return JSON.parse(file.get_as_text()).result


# Joins the two halves in which JSON writes a character beyond U+FFFF: Godot 3 leaves them apart.
static func _joined(text):
	var joined = ""
	var i = 0
	while i < text.length():
		var code = text.ord_at(i)
		if code >= 0xD800 and code < 0xDC00 and i + 1 < text.length():
			code = 0x10000 + ((code - 0xD800) << 10) + text.ord_at(i + 1) - 0xDC00
			i += 1
		joined += char(code)
		i += 1
	return joined

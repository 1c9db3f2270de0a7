extends SceneTree
# Runs the tests that need no server:
#
#     NPC_WIRE=../../../tests/wire godot3-server --path . -s tests/run_tests.gd
#
# NPC_WIRE: the folder of the golden vectors. NPC_SEED: where chance begins (default 1).
# Exits with 0 where everything holds.

const Checks = preload("checks.gd")
const TestClient = preload("test_client.gd")
const TestCodec = preload("test_codec.gd")
const TestZmtp = preload("test_zmtp.gd")

const NUM_ROUNDS = 1500


func _init():
	var first = OS.get_environment("NPC_SEED")
	var seed_of_chance = int(first) if first != "" else 1
	var checks = Checks.new()
	TestCodec.new(checks).run(OS.get_environment("NPC_WIRE"), seed_of_chance, NUM_ROUNDS)
	TestZmtp.new(checks).run(seed_of_chance, NUM_ROUNDS)
	TestClient.new(checks).run()
	print("%d checks hold, %d do not" % [checks.num_held, checks.num_failed])
	quit(1 if checks.num_failed > 0 else 0)

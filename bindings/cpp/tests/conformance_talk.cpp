// Conformance cases of an ordinary talk.
#include "conformance.hpp"

namespace conformance {
namespace {

constexpr const char* two_sentences =
    "token Steel|token  is|token  dear.|sentence 0 Steel is dear.|token  Buy|token  now!|sentence 1 Buy now!";

void expect_two_sentences(const Heard& heard) {
    expect_equal(heard.shown(), two_sentences);
    expect_equal(heard.end().text, "Steel is dear. Buy now!");
    expect(heard.end().finish_reason == FinishReason::stop, "not stop");
}

void hello(const Doors& doors) {
    Player player(doors.plain);
    const Welcome welcome = player.hello();
    const ConnectionLimits& limits = welcome.limits;
    expect(welcome.protocol_version == 1 && !welcome.engine_version.empty(), "version");
    expect(limits.max_frame_bytes == 65536 && limits.max_message_depth == 16 && limits.max_text_chars == 500 &&
               limits.max_conversations == 8 && limits.client_timeout_s == 600.0 && limits.turn_deadline_s == 60.0 &&
               limits.action_timeout_s == 1.0,
           "limits");
}

void hello_curve(const Doors& doors) {
    ClientOptions options;
    options.address = doors.curve;
    options.keys = doors.keys;
    options.timeout = 5s;
    Player(options).hello();
    options.timeout = 1s;
    options.keys->server_public_key = std::string(40, '0');
    Player stranger(options);
    const auto refused = stranger.wait(stranger.client.connect(use_future));
    expect(!refused.ok(), "welcomed with a wrong key");
    expect(refused.error().is("NPC311") || refused.error().is("NPC313"), refused.error().describe());
}

void wrong_version(const Doors& doors) {
    // Below the client, which can say no other version.
    const ZmqContext context;
    DealerSocket socket;
    expect(!socket.open(context, doors.plain, std::nullopt, -1), "not opened");
    const auto ask = [&](std::int64_t request_id, std::int64_t version) {
        const auto frame = pack({{"kind", "hello"}, {"request_id", request_id}, {"protocol_version", version}});
        expect(socket.send(*frame), "not sent");
        zmq_pollitem_t item{socket.raw_dealer(), 0, ZMQ_POLLIN, 0};
        ZmqFrame reply;
        expect(zmq_poll(&item, 1, 10'000) == 1 && socket.receive(reply), "no answer");
        const auto fields = unpack(reply.bytes());
        expect(fields.ok(), "no message");
        return *parse_reply(*fields);
    };
    const Reply refused = ask(1, 99);
    expect(std::holds_alternative<Error>(refused), "not refused");
    expect_equal(std::get<Error>(refused).code, "NPC204");
    expect(std::holds_alternative<Welcome>(ask(2, 1)), "not welcomed afterwards");
}

void list_characters(const Doors& doors) {
    Player player(doors.plain);
    player.hello();
    const auto listed = player.wait(player.client.characters(use_future));
    expect(listed.ok(), "not listed");
    std::string shown;
    for (const CharacterEntry& each : listed->entries) {
        shown += each.id + "/" + each.name + "/" + each.role + ";";
    }
    expect_equal(shown, "mara/Mara/weapon merchant;tobin/Tobin/innkeeper;zoe/Zoë Ærlig/chandler;");
}

void stream(const Doors& doors) {
    Player player(doors.plain);
    player.hello();
    OpenOptions options;
    options.character_id = "mara";
    options.player_id = "ada";
    options.player_name = "Ada";
    const Conversation talk = player.open(options);
    expect_equal(talk.greeting(), "Well met, Ada.");
    const auto heard = player.say(talk, "Größe zählt: 剣 costs 12 🗡 today.");
    player.until([&] { return heard->is_over(); }, "the end");
    player.expect_alive();
    expect_equal(heard->shown(),
                 "token Größe|token  zählt:|token  剣|token  costs|token  12|token  🗡|token  today.|"
                 "sentence 0 Größe zählt: 剣 costs 12 🗡 today.");
    const TurnEnd& end = heard->end();
    expect_equal(end.text, "Größe zählt: 剣 costs 12 🗡 today.");
    expect(end.finish_reason == FinishReason::stop && end.source == ReplySource::model, "reason or source");
    expect(end.trace == Map{{"script", "Größe"}}, "trace");
}

void sentences(const Doors& doors) {
    Player player(doors.plain);
    player.hello();
    const Conversation talk = player.open();
    expect_two_sentences(player.hear(talk, "Steel is dear. Buy now!"));
    const Heard silent = player.hear(talk, "silent");
    expect(silent.end().finish_reason == FinishReason::stop && silent.end().source == ReplySource::none, "silent");
    expect_equal(silent.end().text + silent.shown(), "");
    const Heard guarded = player.hear(talk, "guarded");
    expect(guarded.end().finish_reason == FinishReason::guard && guarded.end().source == ReplySource::fallback,
           "guarded");
    const Heard cut = player.hear(talk, "long");
    expect(cut.end().finish_reason == FinishReason::length && cut.end().source == ReplySource::model, "long");
}

void cancel(const Doors& doors) {
    Player player(doors.plain);
    player.hello();
    const Conversation talk = player.open();
    const auto heard = player.say(talk, "wait");
    player.until([&] { return !heard->tokens.empty(); }, "the token");
    const auto first = player.wait(talk.cancel(use_future));
    expect(first.ok() && first->cancelled == true, "the first cancel");
    player.until([&] { return heard->is_over(); }, "the end");
    expect(heard->end().finish_reason == FinishReason::cancelled, "not cancelled");
    expect_equal(heard->end().text, "Hm");
    const auto second = player.wait(talk.cancel(use_future));
    expect(second.ok() && second->cancelled == false, "the second cancel");
    expect_equal(player.hear(talk, "Again.").end().text, "Again.");
}

Conversation open_shop(Player& player) {
    player.hello();
    OpenOptions options;
    options.character_id = "mara";
    options.player_id = "ada";
    options.actions = {"sell_item"};
    return player.open(options);
}

void action_result(const Doors& doors) {
    Player player(doors.plain);
    const Conversation talk = open_shop(player);
    expect_equal(player.hear(talk, "offered").end().text, "[\"sell_item\"]");
    const auto heard = player.say(talk, "act sword");
    player.until([&] { return !heard->calls.empty(); }, "the call");
    const ActionCall& call = heard->calls[0];
    expect(!call.call_id.empty() && call.name == "sell_item", "call");
    expect(call.arguments ==
               Map{{"item", "sword"}, {"quantity", 2}, {"price", 12.5}, {"gift", false}, {"note", nullptr}},
           "arguments");
    heard->replies[0].result({{"sold", true}, {"price", 12}, {"name", "sword"}, {"rate", 0.5}, {"left", nullptr}});
    player.until([&] { return heard->is_over(); }, "the end");
    expect(heard->calls.size() == 1, "heard more than once");
    expect_equal(heard->end().text,
                 R"(Result: {"left":null,"name":"sword","price":12,"rate":0.5,"sold":true})");
}

void action_error(const Doors& doors) {
    Player player(doors.plain);
    const Conversation talk = open_shop(player);
    const auto heard = player.say(talk, "act sword");
    player.until([&] { return !heard->calls.empty(); }, "the call");
    heard->replies[0].error("no swords left");
    player.until([&] { return heard->is_over(); }, "the end");
    expect_equal(heard->end().text, "Refused: no swords left");
}

void action_timeout(const Doors& doors) {
    Player player(doors.plain);
    const Conversation talk = open_shop(player);
    const Heard heard = player.hear(talk, "act sword");
    expect_equal(heard.end().text, "Nobody answered.");
    std::optional<Result<Ok>> late;
    heard.replies.at(0).result({{"sold", true}}, [&](Result<Ok> result) { late = std::move(result); });
    player.until([&] { return late.has_value(); }, "the refusal");
    expect_code(*late, "NPC308");
    player.expect_alive();
}

void request_error(const Doors& doors) {
    Player player(doors.plain);
    player.hello();
    const Conversation talk = player.open();
    const Heard busy = player.hear(talk, "busy");
    expect_code(busy.ends.at(0), "NPC306");
    const Error& error = busy.ends[0].error();
    expect(error.retry_after_s == 2.5 && error.message == "no room" && error.hint == "later", "NPC306's fields");
    const Heard boom = player.hear(talk, "boom");
    expect_equal(boom.shown(), "token Oh");
    expect_code(boom.ends.at(0), "NPC500");
    const auto waiting = player.say(talk, "wait");
    player.until([&] { return !waiting->tokens.empty(); }, "the token");
    expect_code(player.hear(talk, "Hello.").ends.at(0), "NPC304");
    expect(!waiting->is_over(), "the turn ended");
    talk.cancel();
    player.until([&] { return waiting->is_over(); }, "the end");
    expect(waiting->end().finish_reason == FinishReason::cancelled, "not cancelled");
    expect_code(player.hear(talk, std::string(501, 'x')).ends.at(0), "NPC305");
    expect_equal(player.hear(talk, "Still here.").end().text, "Still here.");
}

void unknown_character(const Doors& doors) {
    Player player(doors.plain);
    player.hello();
    OpenOptions options;
    options.character_id = "nobody";
    options.player_id = "ada";
    expect_code(player.wait(player.client.open(options, use_future)), "NPC301");
    player.open("tobin");
}

void world_event(const Doors& doors) {
    Player player(doors.plain);
    player.hello();
    const Conversation first = player.open("mara");
    const Conversation second = player.open("tobin");
    expect(player.wait(player.client.world_event("The north gate has fallen.", 812.5, use_future)).ok(), "not told");
    expect(player.wait(second.world_event("It rains.", std::nullopt, use_future)).ok(), "not told");
    expect_equal(player.hear(first, "events").end().text, R"([["The north gate has fallen.",812.5]])");
    expect_equal(player.hear(second, "events").end().text,
                 R"([["The north gate has fallen.",812.5],["It rains.",null]])");
}

void set_state(const Doors& doors) {
    Player player(doors.plain);
    player.hello();
    OpenOptions options;
    options.character_id = "mara";
    options.player_id = "ada";
    options.state = {{"trust", 40}, {"place", "market"}};
    const Conversation talk = player.open(options);
    expect(player.wait(talk.set_state({{"trust", 45}, {"flags", Map{{"met_guard", true}}}}, use_future)).ok(), "not set");
    const std::string state = R"({"flags":{"met_guard":true},"place":"market","trust":45})";
    expect_equal(player.hear(talk, "state").end().text, state);
    expect_code(player.wait(talk.set_state({{"trust", "high"}}, use_future)), "NPC309");
    expect_equal(player.hear(talk, "state").end().text, state);
}

std::string reply(Player& player, const Conversation& talk, const std::string& line, SayOptions options) {
    const auto end = player.wait(talk.say(line, use_future, std::move(options)));
    return end.ok() ? end->text : end.error().code;
}

void set_controls(const Doors& doors) {
    Player player(doors.plain);
    player.hello();
    const Conversation talk = player.open();
    const auto now = player.wait(talk.set_controls({{"max_words", 20}, {"synchrony", 1.0}}, use_future));
    expect(now.ok(), "not set");
    expect(get(now->controls, "max_words").integer() == 20 && get(now->controls, "role_play").is_null(), "controls");
    const Map* world = get(now->in_force, "world").map();
    expect(world != nullptr && get(*world, "max_words").integer() == 20, "in force");
    expect_equal(player.hear(talk, "controls").end().text, R"({"max_words":20,"synchrony":1.0})");
    const auto back = player.wait(talk.set_controls({{"max_words", Value()}}, use_future));
    expect(back.ok() && get(back->controls, "max_words").is_null(), "not given back");
    expect_code(player.wait(talk.set_controls({{"max_words", 1000}}, use_future)), "NPC316");
    expect_code(player.wait(talk.set_controls({{"loudness", 1}}, use_future)), "NPC316");
    expect_equal(player.hear(talk, "controls").end().text, R"({"synchrony":1.0})");
    const auto waiting = player.say(talk, "wait");
    player.until([&] { return !waiting->tokens.empty(); }, "the token");
    expect(player.wait(talk.set_controls({{"max_words", 9}}, use_future)).ok(), "not set during a turn");
    expect(!waiting->is_over(), "the turn ended");
    talk.cancel();
    player.until([&] { return waiting->is_over(); }, "the end");
    expect_equal(player.hear(talk, "controls").end().text, R"({"max_words":9,"synchrony":1.0})");
}

void say_options(const Doors& doors) {
    Player player(doors.plain);
    player.hello();
    const Conversation talk = player.open();
    SayOptions short_one;
    short_one.controls = Map{{"max_words", 8}};
    expect_equal(reply(player, talk, "controls", short_one), R"({"max_words":8})");
    expect_equal(reply(player, talk, "controls", {}), "{}");
    SayOptions seeded;
    seeded.seed = 4294967295U;
    expect_equal(reply(player, talk, "seed", seeded), "4294967295");
    expect_equal(reply(player, talk, "seed", {}), "null");
    SayOptions wrong;
    wrong.controls = Map{{"max_words", 1000}};
    expect_equal(reply(player, talk, "Hello.", wrong), "NPC316");
    expect_equal(reply(player, talk, "Still here.", {}), "Still here.");
}

void undo(const Doors& doors) {
    Player player(doors.plain);
    player.hello();
    const Conversation talk = player.open();
    expect_code(player.wait(talk.undo(1, use_future)), "NPC317");
    for (const char* line : {"One.", "Two.", "Three."}) {
        player.hear(talk, line);
    }
    const auto undone = player.wait(talk.undo(2, use_future));
    expect(undone.ok() && undone->remaining == 1, "not undone");
    expect_equal(player.hear(talk, "turns").end().text, R"(["One."])");
    const auto waiting = player.say(talk, "wait");
    player.until([&] { return !waiting->tokens.empty(); }, "the token");
    expect_code(player.wait(talk.undo(1, use_future)), "NPC304");
    talk.cancel();
    player.until([&] { return waiting->is_over(); }, "the end");
    expect(player.wait(talk.close(use_future)).ok(), "not closed");
    expect_code(player.wait(talk.undo(1, use_future)), "NPC303");
}

void declare_actions(const Doors& doors) {
    Player player(doors.plain);
    player.hello();
    OpenOptions options;
    options.character_id = "mara";
    options.player_id = "ada";
    const Map schema{{"type", "object"}, {"properties", Map{{"gate", Map{{"type", "string"}}}}}};
    options.declare_actions = {{{"name", "open_gate"}, {"description", "Opens the gate."}, {"parameters", schema}}};
    const Conversation talk = player.open(options);
    expect_equal(player.hear(talk, "declared").end().text, R"(["open_gate"])");
    const auto heard = player.say(talk, "act sword");
    player.until([&] { return !heard->calls.empty(); }, "the call");
    expect(heard->calls[0].idempotency_key == "key-sword" && heard->calls[0].cost == 2.5, "key or cost");
    heard->replies[0].error("not now");
    player.until([&] { return heard->is_over(); }, "the end");
    expect_equal(heard->end().text, "Refused: not now");
    options.declare_actions = {{{"description", "?"}}};
    expect_code(player.wait(player.client.open(options, use_future)), "NPC315");
}

void health(const Doors& doors) {
    Player player(doors.plain);
    player.hello();
    const auto report = player.wait(player.client.health(use_future));
    expect(report.ok(), "no report");
    expect(report->engine == Map{{"model", "scripted"}, {"provider", "none"}}, "engine");
    expect(get(report->server, "num_clients").integer_or(0) >= 1, "num_clients");
    expect(get(report->server, "is_stopping").boolean() == false, "is_stopping");
    const auto metrics = player.wait(player.client.metrics(use_future));
    expect(metrics.ok() && metrics->text.find("npc_scripted 1") != std::string::npos, "metrics");
}

void two_conversations_at_once(const Doors& doors) {
    Player player(doors.plain);
    player.hello();
    const Conversation first = player.open("mara");
    const Conversation second = player.open("tobin");
    const auto waiting = player.say(first, "wait");
    player.until([&] { return !waiting->tokens.empty(); }, "the token");
    const Heard heard = player.hear(second, "Steel is dear.");
    expect_equal(heard.shown(), "token Steel|token  is|token  dear.|sentence 0 Steel is dear.");
    expect(!waiting->is_over(), "the first turn ended");
    first.cancel();
    player.until([&] { return waiting->is_over(); }, "the first's end");
    expect_equal(waiting->shown(), "token Hm");
    expect(waiting->end().finish_reason == FinishReason::cancelled, "not cancelled");
}

void fragmented_tcp(const Doors& doors) {
    Player player(doors.fragmented, 15s);
    player.hello();
    const Conversation talk = player.open();
    const auto heard = player.say(talk, "Steel is dear. Buy now!");
    player.until([&] { return heard->is_over(); }, "the end", 15s);
    expect_two_sentences(*heard);
}

}  // namespace

std::vector<Case> talk_cases() {
    return {{"hello", hello},
            {"hello_curve", hello_curve},
            {"wrong_version", wrong_version},
            {"list_characters", list_characters},
            {"stream", stream},
            {"sentences", sentences},
            {"cancel", cancel},
            {"action_result", action_result},
            {"action_error", action_error},
            {"action_timeout", action_timeout},
            {"request_error", request_error},
            {"unknown_character", unknown_character},
            {"world_event", world_event},
            {"set_state", set_state},
            {"set_controls", set_controls},
            {"say_options", say_options},
            {"undo", undo},
            {"declare_actions", declare_actions},
            {"health", health},
            {"two_conversations_at_once", two_conversations_at_once},
            {"fragmented_tcp", fragmented_tcp}};
}

}  // namespace conformance

// Conformance cases of servers that are slow, stall, die or send what they should not.
#include "conformance.hpp"

#include <algorithm>
#include <set>

namespace conformance {
namespace {

using Codes = std::set<std::string>;

// The turn ends with "Still here." or fails with one of these codes, once and without the ghost; the connection lives,
// or lives again.
void survive(const Doors& doors, const std::string& line, const Codes& codes) {
    Player player(doors.faults, 2s);
    player.hello();
    const Conversation talk = player.open();
    const auto heard = player.say(talk, line);
    player.until([&] { return heard->is_over(); }, "the end", 5s);
    const Result<TurnEnd>& end = heard->ends[0];
    if (end.ok()) {
        expect_equal(end->text, "Still here.");
    } else {
        expect(codes.count(end.error().code) != 0, end.error().describe());
    }
    for (const std::string& token : heard->tokens) {
        expect(token != "Ghost" && token.size() <= 1000, "a token that the game must not get");
    }
    if (!end.ok() && end.error().is("NPC313")) {
        player.hello();
    }
    player.expect_alive();
    expect(heard->ends.size() == 1, "more than one end");
}

void slow_server(const Doors& doors) {
    Player player(doors.plain);
    player.hello();
    const Conversation talk = player.open();
    player.is_timed = true;
    const auto heard = player.say(talk, "slow");
    std::set<std::size_t> counts;
    player.until(
        [&] {
            counts.insert(heard->tokens.size());
            return heard->is_over();
        },
        "the end");
    expect_equal(heard->end().text, "a b c d e f g h i j");
    // None at all is the first count.
    expect(counts.size() >= 6, "tokens came in fewer than 5 polls");
}

void server_stall(const Doors& doors) {
    Player player(doors.faults);
    player.hello();
    const Conversation talk = player.open();
    player.is_timed = true;
    const auto heard = player.say(talk, "fault stall");
    player.until([&] { return !heard->tokens.empty(); }, "the token");
    const auto start = std::chrono::steady_clock::now();
    player.until([&] { return std::chrono::steady_clock::now() - start > 500ms; }, "half a second");
    std::optional<Result<HealthReport>> health;
    const auto asked = std::chrono::steady_clock::now();
    player.client.health([&](Result<HealthReport> report) { health = std::move(report); });
    expect(std::chrono::steady_clock::now() - asked < 100ms, "health() waited");
    player.until([&] { return heard->is_over() && health.has_value(); }, "the end of the stall", 5s);
    expect_equal(heard->end().text, "Hm again.");
    expect(health->ok(), "no health");
}

void server_restart(const Doors& doors) {
    int num_losses = 0;
    ClientOptions options;
    options.address = doors.faults;
    options.on_lost = [&](const Error&) { ++num_losses; };
    Player player(options);
    player.hello();
    const Conversation talk = player.open("mara");
    const Conversation other = player.open("tobin");
    player.is_timed = true;
    const auto waiting = player.say(other, "wait");
    player.until([&] { return !waiting->tokens.empty(); }, "the token");
    const auto heard = player.say(talk, "fault restart");
    player.until([&] { return heard->is_over() && waiting->is_over(); }, "the loss", 5s);
    // Every try may take 2 s; libzmq connects by itself as soon as the server is back.
    bool is_back = false;
    const auto start = std::chrono::steady_clock::now();
    while (!is_back) {
        expect(std::chrono::steady_clock::now() - start < 10s, "never connected again");
        std::optional<Result<Welcome>> welcome;
        player.client.connect([&](Result<Welcome> result) { welcome = std::move(result); });
        player.until([&] { return welcome.has_value(); }, "an answer to connect", 11s);
        is_back = welcome->ok();
    }
    expect_code(heard->ends.at(0), "NPC313");
    expect_code(waiting->ends.at(0), "NPC313");
    const auto old = player.say(talk, "Hello.");
    player.until([&] { return old->is_over(); }, "the refusal");
    expect(!old->ends[0].ok(), "an old conversation answers");
    expect(old->ends[0].error().is("NPC302") || old->ends[0].error().is("NPC313"), old->ends[0].error().describe());
    const Conversation fresh = player.open();
    expect_equal(player.hear(fresh, "Back again.").end().text, "Back again.");
    expect(heard->ends.size() == 1 && waiting->ends.size() == 1, "a turn ended twice");
    expect(num_losses == 1, "on_lost came " + std::to_string(num_losses) + " times");
}

void unknown_field_from_server(const Doors& doors) {
    Player player(doors.faults);
    player.hello();
    expect_equal(player.hear(player.open(), "fault unknown_field").end().text, "Still here.");
}

void reply_to_unknown_request(const Doors& doors) {
    Player player(doors.faults);
    player.hello();
    const Heard heard = player.hear(player.open(), "fault unknown_request");
    expect_equal(heard.end().text, "Still here.");
    expect_equal(heard.shown(), "token Still|token  here.|sentence 0 Still here.");
    player.expect_alive();
}

void replayed_reply(const Doors& doors) {
    Player player(doors.faults);
    player.hello();
    const Conversation talk = player.open();
    const auto first = player.say(talk, "fault replay");
    player.until([&] { return first->is_over(); }, "the end");
    const Heard second = player.hear(talk, "Next.");
    player.expect_alive();
    expect_equal(first->shown(), "token Still|token  here.|sentence 0 Still here.");
    expect_equal(first->end().text, "Still here.");
    expect_equal(second.shown(), "token Next.|sentence 0 Next.");
    expect_equal(second.end().text, "Next.");
}

const Codes bad_frame{"NPC201", "NPC202", "NPC313"};

}  // namespace

std::vector<Case> fault_cases() {
    return {{"slow_server", slow_server},
            {"server_stall", server_stall},
            {"server_restart", server_restart},
            {"unknown_kind_from_server",
             [](const Doors& doors) { survive(doors, "fault unknown_kind", {"NPC203"}); }},
            {"unknown_field_from_server", unknown_field_from_server},
            {"reply_to_unknown_request", reply_to_unknown_request},
            {"replayed_reply", replayed_reply},
            {"truncated_frame", [](const Doors& doors) { survive(doors, "fault truncated", bad_frame); }},
            {"random_frame",
             [](const Doors& doors) {
                 survive(doors, "fault random", {"NPC201", "NPC202", "NPC203", "NPC206", "NPC313"});
             }},
            {"oversized_frame", [](const Doors& doors) {
                 survive(doors, "fault oversized", {"NPC201", "NPC202", "NPC206", "NPC313"});
             }}};
}

}  // namespace conformance

// The conformance program: npc_engine_conformance ADDRESS_JSON [CASE]. Prints one line a case; exits with 1 on a FAIL.
#include "conformance.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <thread>

#ifdef __linux__
#include <sys/resource.h>
#endif

namespace conformance {

std::string Heard::shown() const {
    std::string all;
    for (const std::string& message : messages) {
        all += (all.empty() ? "" : "|") + message;
    }
    return all;
}

const TurnEnd& Heard::end() const {
    expect(ends.size() == 1, std::to_string(ends.size()) + " ends of a turn");
    expect(ends[0].ok(), ends[0].ok() ? "" : "the turn failed: " + ends[0].error().describe());
    return *ends[0];
}

std::vector<double>& poll_times_ms() {
    static std::vector<double> times;
    return times;
}

namespace {

ClientOptions options_for(const std::string& address, std::chrono::milliseconds timeout) {
    ClientOptions options;
    options.address = address;
    options.timeout = timeout;
    return options;
}

double since_ms(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

// What polls took of the processor, and how often one gave the processor up by itself, that is, waited. Unlike the time that
// passed, neither counts other programs.
struct Effort {
    std::vector<double> cpu_ms;
    long num_waits = 0;
};

Effort& effort() {
    static Effort all;
    return all;
}

#ifdef __linux__
void poll_counted(Client& client) {
    const auto cpu_ms = [](const rusage& used) {
        return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e3 +
               static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e3;
    };
    rusage before{};
    rusage after{};
    getrusage(RUSAGE_THREAD, &before);
    client.poll();
    getrusage(RUSAGE_THREAD, &after);
    effort().cpu_ms.push_back(cpu_ms(after) - cpu_ms(before));
    effort().num_waits += after.ru_nvcsw - before.ru_nvcsw;
}
#else
void poll_counted(Client& client) { client.poll(); }
#endif

double percentile(std::vector<double> values, double share) {
    std::sort(values.begin(), values.end());
    const auto last = static_cast<double>(values.size() - 1);
    return values.empty() ? 0.0 : values[static_cast<std::size_t>(share * last)];
}

}  // namespace

Player::Player(const std::string& address, std::chrono::milliseconds timeout) : Player(options_for(address, timeout)) {}
Player::Player(ClientOptions options) : client(std::move(options)) {}

Welcome Player::hello() {
    auto welcome = wait(client.connect(use_future));
    expect(welcome.ok(), welcome.ok() ? "" : "no welcome: " + welcome.error().describe());
    return *welcome;
}

Conversation Player::open(OpenOptions options) {
    auto opened = wait(client.open(std::move(options), use_future));
    expect(opened.ok(), opened.ok() ? "" : "not opened: " + opened.error().describe());
    return *opened;
}

Conversation Player::open(const std::string& character_id, const std::string& player_id) {
    OpenOptions options;
    options.character_id = character_id;
    options.player_id = player_id;
    return open(options);
}

std::shared_ptr<Heard> Player::say(const Conversation& talk, const std::string& line) {
    auto heard = std::make_shared<Heard>();
    TurnHandlers handlers;
    handlers.on_token = [heard](const Token& token) {
        heard->messages.push_back("token " + token.text);
        heard->tokens.push_back(token.text);
    };
    handlers.on_sentence = [heard](const Sentence& sentence) {
        heard->messages.push_back("sentence " + std::to_string(sentence.index) + " " + sentence.text);
    };
    handlers.on_action = [heard](const ActionCall& call, const ActionReply& reply) {
        heard->messages.push_back("call " + call.name);
        heard->calls.push_back(call);
        heard->replies.push_back(reply);
    };
    handlers.on_end = [heard](Result<TurnEnd> end) { heard->ends.push_back(std::move(end)); };
    talk.say(line, handlers);
    return heard;
}

Heard Player::hear(const Conversation& talk, const std::string& line) {
    const auto heard = say(talk, line);
    until([&] { return heard->is_over(); }, "the end of '" + line + "'");
    return *heard;
}

void Player::until(const std::function<bool()>& holds, const std::string& what, std::chrono::milliseconds limit) {
    const auto start = std::chrono::steady_clock::now();
    while (!holds()) {
        expect(since_ms(start) < static_cast<double>(limit.count()), "waited in vain for " + what);
        if (is_timed) {
            frame();
        } else {
            client.wait_for(5ms);
            client.poll();
        }
    }
}

void Player::frame() {
    const auto start = std::chrono::steady_clock::now();
    poll_counted(client);
    const double took_ms = since_ms(start);
    poll_times_ms().push_back(took_ms);
    expect(took_ms < 100.0, "a poll took " + std::to_string(took_ms) + " ms");
    // The frame clock of a game.
    std::this_thread::sleep_until(start + 5ms);
}

void Player::expect_alive() {
    const auto health = wait(client.health(use_future));
    expect(health.ok(), health.ok() ? "" : "the connection is dead: " + health.error().describe());
}

void measure_round_trips(const Doors& doors) {
    constexpr int num_uncounted = 100;
    constexpr int num_counted = 1000;
    Player player(doors.plain);
    player.hello();
    std::vector<double> times_us;
    for (int each = 0; each < num_uncounted + num_counted; ++each) {
        const auto start = std::chrono::steady_clock::now();
        expect(player.wait(player.client.health(use_future)).ok(), "health failed");
        if (each >= num_uncounted) {
            times_us.push_back(since_ms(start) * 1000.0);
        }
    }
    std::printf("time round_trip_us %.0f %.0f\n", percentile(times_us, 0.5), percentile(times_us, 0.99));
}

namespace {

int run_all(const Doors& doors, const std::string& wanted) {
    std::vector<Case> cases;
    for (const auto& group : {talk_cases(), fault_cases(), lifetime_cases()}) {
        cases.insert(cases.end(), group.begin(), group.end());
    }
    int num_failed = 0;
    for (const Case& each : cases) {
        if (!wanted.empty() && wanted != each.name) {
            continue;
        }
        try {
            each.run(doors);
            std::printf("ok %s\n", each.name.c_str());
        } catch (const Failed& failed) {
            ++num_failed;
            std::printf("FAIL %s: %s\n", each.name.c_str(), failed.why.c_str());
        } catch (const std::exception& error) {
            ++num_failed;
            std::printf("FAIL %s: %s\n", each.name.c_str(), error.what());
        }
        std::fflush(stdout);
    }
    if (!poll_times_ms().empty()) {
        std::printf("time poll_max_ms %.3f %.3f\n", percentile(poll_times_ms(), 0.999), percentile(poll_times_ms(), 1.0));
    }
    if (!effort().cpu_ms.empty()) {
        std::printf("cpu poll_max_ms %.3f %.3f, %ld waits in %zu polls\n", percentile(effort().cpu_ms, 0.999),
                    percentile(effort().cpu_ms, 1.0), effort().num_waits, effort().cpu_ms.size());
    }
    if (wanted.empty()) {
        measure_round_trips(doors);
    }
    return num_failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace conformance

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: npc_engine_conformance ADDRESS_JSON [CASE]\n");
        return 2;
    }
    try {
        const auto line = nlohmann::json::parse(argv[1]);
        const auto text = [&](const char* key) { return line.at(key).get<std::string>(); };
        conformance::Doors doors{text("zmq"), text("zmq_faults"), text("zmq_fragmented"), text("zmq_curve"),
                                 {text("curve_server_public_key"), text("curve_client_public_key"),
                                  text("curve_client_secret_key")}};
        return conformance::run_all(doors, argc > 2 ? argv[2] : "");
    } catch (const conformance::Failed& failed) {
        std::fprintf(stderr, "%s\n", failed.why.c_str());
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
    }
    return 2;
}

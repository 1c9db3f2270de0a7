// What the conformance cases share: a player that polls as a game does, what it heard, and the list of cases.
#pragma once

#include <npc_engine/npc_engine.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace conformance {

using namespace std::chrono_literals;
using namespace npc_engine;

/// The doors of the server, from its line of JSON.
struct Doors {
    std::string plain;
    std::string faults;
    std::string fragmented;
    std::string curve;
    CurveKeys keys;
};

/// A case that does not hold.
struct Failed {
    std::string why;
};

inline void expect(bool holds, const std::string& why) {
    if (!holds) {
        throw Failed{why};
    }
}

inline void expect_equal(const std::string& got, const std::string& wanted) {
    expect(got == wanted, "got '" + got + "' instead of '" + wanted + "'");
}

template <class T>
void expect_code(const Result<T>& result, const std::string& code) {
    expect(!result.ok(), "no error, where " + code + " is due");
    expect_equal(result.error().code, code);
}

/// Everything that one turn brought.
struct Heard {
    std::vector<std::string> messages;  ///< "token TEXT", "sentence INDEX TEXT", "call NAME", in order.
    std::vector<std::string> tokens;
    std::vector<ActionCall> calls;
    std::vector<ActionReply> replies;
    std::vector<Result<TurnEnd>> ends;

    bool is_over() const { return !ends.empty(); }
    std::string shown() const;

    /// The only end. Fails where there is none or another, or where it is an error.
    const TurnEnd& end() const;
};

/// The longest a single call of the game took, over the timed cases, milliseconds.
std::vector<double>& poll_times_ms();

/// A client and a game loop around it.
class Player {
public:
    explicit Player(const std::string& address, std::chrono::milliseconds timeout = 10s);
    explicit Player(ClientOptions options);

    Client client;

    /// Counts what polls take, a poll every 5 ms.
    bool is_timed = false;

    /// Connects and waits for the welcome.
    Welcome hello();
    Conversation open(OpenOptions options);
    Conversation open(const std::string& character_id = "mara", const std::string& player_id = "ada");
    std::shared_ptr<Heard> say(const Conversation& talk, const std::string& line);

    /// Says the line and hears the turn to its end.
    Heard hear(const Conversation& talk, const std::string& line);

    /// Polls until it holds.
    void until(const std::function<bool()>& holds, const std::string& what, std::chrono::milliseconds limit = 10s);

    /// One frame of a game: a poll, which is timed, and the rest of 5 ms.
    void frame();

    /// The connection lives.
    void expect_alive();

    template <class T>
    Result<T> wait(std::future<Result<T>> future) {
        return client.wait(std::move(future));
    }
};

struct Case {
    std::string name;
    std::function<void(const Doors&)> run;
};

std::vector<Case> talk_cases();
std::vector<Case> fault_cases();
std::vector<Case> lifetime_cases();

/// Prints 1,000 health round trips.
void measure_round_trips(const Doors& doors);

}  // namespace conformance

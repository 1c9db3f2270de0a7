// Conformance cases of beginnings and ends.
#include "conformance.hpp"

#include <filesystem>
#include <fstream>
#include <thread>

#ifdef __linux__
#include <unistd.h>
#endif

namespace conformance {
namespace {

void close_conversation(const Doors& doors) {
    Player player(doors.plain);
    player.hello();
    const Conversation talk = player.open();
    const auto heard = player.say(talk, "wait");
    player.until([&] { return !heard->tokens.empty(); }, "the token");
    bool was_over = false;
    std::optional<Result<ConversationClosed>> closed;
    talk.close([&](Result<ConversationClosed> result) {
        was_over = heard->is_over();
        closed = std::move(result);
    });
    player.until([&] { return closed.has_value(); }, "the close");
    expect(closed->ok() && was_over, "closed before the turn ended");
    expect(heard->end().finish_reason == FinishReason::cancelled, "not cancelled");
    expect_code(player.hear(talk, "Hello?").ends.at(0), "NPC303");
}

void close_client(const Doors& doors) {
    Player player(doors.plain);
    player.hello();
    const auto heard = player.say(player.open(), "wait");
    player.until([&] { return !heard->tokens.empty(); }, "the token");
    const auto start = std::chrono::steady_clock::now();
    player.client.close();
    expect(std::chrono::steady_clock::now() - start < 2s, "closing took long");
    player.client.poll();
    expect(heard->ends.size() == 1, "the turn did not end");
    expect_code(heard->ends[0], "NPC313");
    const std::size_t num_messages = heard->messages.size();
    for (int each = 0; each < 20; ++each) {
        player.client.wait_for(5ms);
        expect(player.client.poll() == 0, "something came after the close");
    }
    expect(heard->messages.size() == num_messages && heard->ends.size() == 1, "something came after the close");
}

void hang_up(const Doors& doors) {
    Player player(doors.faults);
    player.hello();
    const auto heard = player.say(player.open(), "fault hangup");
    player.until([&] { return heard->is_over(); }, "the loss", 5s);
    expect_code(heard->ends[0], "NPC313");
    player.hello();
    player.expect_alive();
    expect(heard->ends.size() == 1, "the turn ended twice");
}

void close_in_mid_turn(const Doors& doors) {
    close_conversation(doors);
    close_client(doors);
    hang_up(doors);
}

void start_and_stop(const Doors& doors, int number) {
    Player player(doors.plain);
    player.hello();
    player.expect_alive();
    if (number % 4 == 0) {
        const auto heard = player.say(player.open(), "wait");
        player.until([&] { return !heard->tokens.empty(); }, "the token");
    }
    // Every second one without a word: the destructor must do.
    if (number % 2 == 0) {
        player.client.close();
    }
}

#ifdef __linux__

std::size_t num_entries(const char* folder) {
    const std::filesystem::directory_iterator entries(folder);
    return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

double resident_mb() {
    std::size_t total_pages = 0;
    std::size_t resident_pages = 0;
    std::ifstream("/proc/self/statm") >> total_pages >> resident_pages;
    return static_cast<double>(resident_pages) * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1e6;
}

void expect_same(const char* folder, std::size_t before) {
    // A thread that was joined may be listed a moment longer.
    const auto start = std::chrono::steady_clock::now();
    while (num_entries(folder) != before && std::chrono::steady_clock::now() - start < 2s) {
        std::this_thread::yield();
    }
    expect(num_entries(folder) == before,
           std::string(folder) + ": " + std::to_string(before) + " to " + std::to_string(num_entries(folder)));
}

void start_stop_200(const Doors& doors) {
    std::size_t num_threads = 0;
    std::size_t num_files = 0;
    double memory_mb = 0.0;
    for (int number = 1; number <= 200; ++number) {
        start_and_stop(doors, number);
        if (number == 20) {
            num_threads = num_entries("/proc/self/task");
            num_files = num_entries("/proc/self/fd");
            memory_mb = resident_mb();
        }
    }
    expect_same("/proc/self/task", num_threads);
    expect_same("/proc/self/fd", num_files);
    const double grown_mb = resident_mb() - memory_mb;
    expect(grown_mb < 20.0, "memory grew by " + std::to_string(grown_mb) + " MB");
}

#else

void start_stop_200(const Doors& doors) {
    for (int number = 1; number <= 200; ++number) {
        start_and_stop(doors, number);
    }
}

#endif

}  // namespace

std::vector<Case> lifetime_cases() {
    return {{"close_in_mid_turn", close_in_mid_turn}, {"start_stop_200", start_stop_200}};
}

}  // namespace conformance

// The game client: connect, open, say, and poll() once a frame.
#pragma once

#include <chrono>
#include <cstddef>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "npc_engine/completion.hpp"
#include "npc_engine/conversation.hpp"
#include "npc_engine/detail/connection.hpp"
#include "npc_engine/messages.hpp"
#include "npc_engine/options.hpp"

namespace npc_engine {

/// A connection to a server. No call waits: each returns at once, and poll() brings what came of it, by callbacks on
/// the calling thread and by fulfilling futures.
///
/// Any thread may call anything; poll() in one thread at a time (a second caller gets 0). Callbacks may call anything
/// but the destructor. An exception that a callback throws leaves poll(); what follows is delivered by the next poll().
class Client {
public:
    explicit Client(ClientOptions options = {})
        : connection_(std::make_shared<detail::Connection>(std::move(options))) {}

    /// Disconnects at once. Futures that are open get NPC313, callbacks are dropped uncalled. No thread may be in
    /// poll() or wait_for(), so a Pump must be gone.
    ~Client() { connection_->shut_down(); }

    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    /// Connects and says hello; again after close() or a loss. Requests may follow at once: they wait for the
    /// welcome. NPC311: no server answered. NPC313: it refused the keys. NPC204: it speaks another version.
    void connect(OnDone<Welcome> done = {}) {
        const detail::Connection* reporter = connection_.get();
        connection_->connect([done = std::move(done), reporter](Result<Reply> reply) {
            auto answer = detail::answer_of<Welcome>(std::move(reply));
            if (done) {
                done(std::move(answer));
            } else if (!answer) {
                reporter->report(answer.error());
            }
        });
    }
    std::future<Result<Welcome>> connect(UseFuture) {
        return detail::with_future<Welcome>([&](OnDone<Welcome> done) { connect(std::move(done)); });
    }

    /// Disconnects at once; conversations end. What is open fails with NPC313 in the next poll(). Does nothing when
    /// not connected.
    void close() { connection_->close(); }

    ConnectionState state() const { return connection_->state(); }

    /// Sends what was asked for, receives, and calls the game's callbacks. Call it once a frame.
    ///
    /// Returns the number of calls made. Never waits; see ClientOptions::poll_budget for how long it may run.
    std::size_t poll() { return connection_->poll(); }

    /// Waits until poll() has something to do. For threads that have nothing else to do; a game loop just polls.
    ///
    /// Returns false where the time passed first or another thread polls.
    bool wait_for(std::chrono::milliseconds timeout) { return connection_->wait_for(timeout); }

    /// Ends a wait_for() in another thread.
    void wake() { connection_->wake(); }

    /// Polls until the future is ready and returns its value. For tools and tests: a game must not wait. Not beside
    /// a Pump, which polls already.
    template <class T>
    Result<T> wait(std::future<Result<T>> future) {
        while (future.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
            wait_for(std::chrono::milliseconds(100));
            poll();
        }
        return future.get();
    }

    /// Who can be talked to.
    void characters(OnDone<Characters> done) { detail::ask<Characters>(connection_, "list_characters", {}, std::move(done)); }
    std::future<Result<Characters>> characters(UseFuture) {
        return detail::with_future<Characters>([&](OnDone<Characters> done) { characters(std::move(done)); });
    }

    /// Opens a conversation. NPC301, NPC314, NPC315, NPC309, NPC310, NPC306: nothing was opened.
    void open(OpenOptions options, OnDone<Conversation> done) {
        Array actions;
        if (options.actions) {
            actions.assign(options.actions->begin(), options.actions->end());
        } else if (options.on_action) {
            actions.emplace_back("*");
        }
        Map fields{{"character_id", std::move(options.character_id)},
                   {"player_id", std::move(options.player_id)},
                   {"player_name", options.player_name ? Value(std::move(*options.player_name)) : Value()},
                   {"state", std::move(options.state)},
                   {"actions", std::move(actions)}};
        // Left out where it is not used: an older server does not know it.
        if (!options.declare_actions.empty()) {
            fields.insert_or_assign("declare_actions",
                                    Array(options.declare_actions.begin(), options.declare_actions.end()));
        }
        detail::ask<ConversationOpened>(
            connection_, "open_conversation", std::move(fields),
            [done = std::move(done), on_action = std::move(options.on_action),
             connection = std::weak_ptr(connection_)](Result<ConversationOpened> opened) {
                const auto held = connection.lock();
                if (!opened || !held) {
                    return done(opened ? Error(codes::connection_lost, "the client is gone") : opened.error());
                }
                done(Conversation(held, std::move(*opened), on_action));
            });
    }
    std::future<Result<Conversation>> open(OpenOptions options, UseFuture) {
        return detail::with_future<Conversation>(
            [&](OnDone<Conversation> done) { open(std::move(options), std::move(done)); });
    }

    /// Tells the characters of all this client's conversations what the game knows now. `game_time` is in the game's
    /// own unit.
    void world_event(std::string text, std::optional<double> game_time = std::nullopt, OnDone<Ok> done = {}) {
        detail::ask<Ok>(connection_, "world_event",
                        {{"text", std::move(text)}, {"game_time", detail::or_nil(game_time)}}, std::move(done));
    }
    std::future<Result<Ok>> world_event(std::string text, std::optional<double> game_time, UseFuture) {
        return detail::with_future<Ok>(
            [&](OnDone<Ok> done) { world_event(std::move(text), game_time, std::move(done)); });
    }

    /// How the engine and the server are.
    void health(OnDone<HealthReport> done) { detail::ask<HealthReport>(connection_, "health", {}, std::move(done)); }
    std::future<Result<HealthReport>> health(UseFuture) {
        return detail::with_future<HealthReport>([&](OnDone<HealthReport> done) { health(std::move(done)); });
    }

    /// The metrics in the Prometheus text format.
    void metrics(OnDone<MetricsReport> done) { detail::ask<MetricsReport>(connection_, "metrics", {}, std::move(done)); }
    std::future<Result<MetricsReport>> metrics(UseFuture) {
        return detail::with_future<MetricsReport>([&](OnDone<MetricsReport> done) { metrics(std::move(done)); });
    }

private:
    std::shared_ptr<detail::Connection> connection_;
};

}  // namespace npc_engine

// One player and one character: turns, actions, events and state.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "npc_engine/completion.hpp"
#include "npc_engine/detail/connection.hpp"
#include "npc_engine/messages.hpp"

namespace npc_engine {

class Client;
class Conversation;

/// Answers one action call, at once or later; a copy answers the same call. An answer that comes after the server's
/// `action_timeout_s` fails with NPC308. One that never comes lets the turn go on as if nothing had happened.
class ActionReply {
public:
    /// What the action did.
    void result(Map data, OnDone<Ok> done = {}) const;

    /// Why it did not happen, in words the character may use; 1 to 2000 characters.
    void error(std::string reason, OnDone<Ok> done = {}) const;

private:
    friend class Conversation;
    ActionReply(std::shared_ptr<detail::Connection> connection, std::string conversation_id, std::string call_id)
        : connection_(std::move(connection)),
          conversation_id_(std::move(conversation_id)),
          call_id_(std::move(call_id)) {}

    void send(const char* field, Value value, OnDone<Ok> done) const;

    std::shared_ptr<detail::Connection> connection_;
    std::string conversation_id_;
    std::string call_id_;
};

/// Runs an action that the character asks for. Called in poll().
using OnAction = std::function<void(const ActionCall&, ActionReply)>;

/// What open() takes.
struct OpenOptions {
    std::string character_id;                               ///< One of characters().
    std::string player_id;                                  ///< The game's stable id of the player.
    std::optional<std::string> player_name = std::nullopt;  ///< How the character may address the player.
    Map state = {};                                         ///< The game's state now.
    OnAction on_action = nullptr;                           ///< For all turns that name no other.

    /// The sheet's actions that this game runs. Nothing: all of them with `on_action`, none without.
    std::optional<std::vector<std::string>> actions = std::nullopt;

    /// Actions of the game's own: each a map with `name`, `description`, and what docs/protocol.md lists.
    std::vector<Map> declare_actions = {};
};

/// What say() may take besides the line.
struct SayOptions {
    std::optional<Map> controls = std::nullopt;  ///< Of this turn alone, as in set_controls().

    /// What the turn draws by: the same seed after the same talk draws alike.
    std::optional<std::uint32_t> seed = std::nullopt;
};

/// Who hears a turn, each called in poll(). Any may be empty.
struct TurnHandlers {
    std::function<void(const Token&)> on_token = nullptr;
    std::function<void(const Sentence&)> on_sentence = nullptr;
    OnAction on_action = nullptr;         ///< In place of OpenOptions::on_action.
    OnDone<TurnEnd> on_end = nullptr;     ///< Once: the end, or the error that ended it instead.
};

namespace detail {

/// A request with one answer.
template <class T>
void ask(const std::shared_ptr<Connection>& connection, std::string_view kind, Map fields, OnDone<T> done) {
    // A plain pointer: the connection keeps the sink, and must not keep itself.
    const Connection* reporter = connection.get();
    connection->submit(kind, std::move(fields), [done = std::move(done), reporter](Result<Reply> reply) {
        auto answer = answer_of<T>(std::move(reply));
        if (done) {
            done(std::move(answer));
        } else if (!answer) {
            reporter->report(answer.error());
        }
    });
}

inline Value or_nil(std::optional<double> number) { return number ? Value(*number) : Value(); }

}  // namespace detail

/// A handle of an open conversation; copies are the same conversation. Every call returns at once, and what it
/// brings comes in poll(). It outlives its client harmlessly: nothing comes any more. Dropping it does not close the
/// conversation: call close(), or close the client.
class Conversation {
public:
    const std::string& id() const { return shared_->id; }

    /// The authored first line; may be empty.
    const std::string& greeting() const { return shared_->greeting; }

    /// The player speaks. One turn at a time: on_end gets NPC304 where one runs, NPC305 where the line is too long,
    /// NPC306 where the server has no room, NPC316 where a control is wrong, NPC303 after close().
    void say(std::string text, TurnHandlers handlers, SayOptions options = {}) const {
        if (shared_->is_closed) {
            shared_->connection->refuse(
                turn_sink(std::move(handlers)),
                Error(codes::conversation_closed, "this conversation was closed", "open a new one"));
            return;
        }
        Map fields{{"conversation_id", id()}, {"text", std::move(text)}};
        if (options.controls) {
            fields.insert_or_assign("controls", std::move(*options.controls));
        }
        if (options.seed) {
            fields.insert_or_assign("seed", static_cast<std::int64_t>(*options.seed));
        }
        shared_->connection->submit("say", std::move(fields), turn_sink(std::move(handlers)), true);
    }
    std::future<Result<TurnEnd>> say(std::string text, UseFuture, SayOptions options = {}) const {
        return detail::with_future<TurnEnd>([&](OnDone<TurnEnd> done) {
            TurnHandlers handlers;
            handlers.on_end = std::move(done);
            say(std::move(text), std::move(handlers), std::move(options));
        });
    }

    /// Stops the running turn, whose end still arrives. Ok::cancelled says whether one ran.
    void cancel(OnDone<Ok> done = {}) const { ask<Ok>("cancel", {}, std::move(done)); }
    std::future<Result<Ok>> cancel(UseFuture) const {
        return detail::with_future<Ok>([&](OnDone<Ok> done) { cancel(std::move(done)); });
    }

    /// Tells this character what the game knows now. `game_time` is in the game's own unit.
    void world_event(std::string text, std::optional<double> game_time = std::nullopt, OnDone<Ok> done = {}) const {
        ask<Ok>("world_event", {{"text", std::move(text)}, {"game_time", detail::or_nil(game_time)}}, std::move(done));
    }
    std::future<Result<Ok>> world_event(std::string text, std::optional<double> game_time, UseFuture) const {
        return detail::with_future<Ok>(
            [&](OnDone<Ok> done) { world_event(std::move(text), game_time, std::move(done)); });
    }

    /// Changes the game's state as this character sees it. NPC309: nothing has changed.
    void set_state(Map changes, OnDone<Ok> done = {}) const {
        ask<Ok>("set_state", {{"changes", std::move(changes)}}, std::move(done));
    }
    std::future<Result<Ok>> set_state(Map changes, UseFuture) const {
        return detail::with_future<Ok>([&](OnDone<Ok> done) { set_state(std::move(changes), std::move(done)); });
    }

    /// Changes how the character talks here, from the next turn on; also while a turn runs. Nil gives a control back.
    /// NPC316: nothing has changed.
    void set_controls(Map controls, OnDone<ControlsSet> done = {}) const {
        ask<ControlsSet>("set_controls", {{"controls", std::move(controls)}}, std::move(done));
    }
    std::future<Result<ControlsSet>> set_controls(Map controls, UseFuture) const {
        return detail::with_future<ControlsSet>(
            [&](OnDone<ControlsSet> done) { set_controls(std::move(controls), std::move(done)); });
    }

    /// Takes back the last turns. NPC304 while a turn runs, NPC317 where there are fewer: nothing has changed.
    void undo(std::int64_t turns = 1, OnDone<Undone> done = {}) const {
        ask<Undone>("undo", {{"turns", turns}}, std::move(done));
    }
    std::future<Result<Undone>> undo(std::int64_t turns, UseFuture) const {
        return detail::with_future<Undone>([&](OnDone<Undone> done) { undo(turns, std::move(done)); });
    }

    /// Closes the conversation; a running turn is cancelled and ends before the answer. A second call answers as the
    /// server does, with NPC303.
    void close(OnDone<ConversationClosed> done = {}) const {
        shared_->is_closed = true;
        ask<ConversationClosed>("close_conversation", {}, std::move(done));
    }
    std::future<Result<ConversationClosed>> close(UseFuture) const {
        return detail::with_future<ConversationClosed>(
            [&](OnDone<ConversationClosed> done) { close(std::move(done)); });
    }

private:
    friend class Client;

    struct Shared {
        std::shared_ptr<detail::Connection> connection;
        std::string id;
        std::string greeting;
        OnAction on_action;
        std::atomic<bool> is_closed{false};

        Shared(std::shared_ptr<detail::Connection> connection_, ConversationOpened opened, OnAction on_action_)
            : connection(std::move(connection_)),
              id(std::move(opened.conversation_id)),
              greeting(std::move(opened.greeting)),
              on_action(std::move(on_action_)) {}
    };

    Conversation(std::shared_ptr<detail::Connection> connection, ConversationOpened opened, OnAction on_action)
        : shared_(std::make_shared<Shared>(std::move(connection), std::move(opened), std::move(on_action))) {}

    template <class T>
    void ask(std::string_view kind, Map fields, OnDone<T> done) const {
        fields.insert_or_assign("conversation_id", id());
        detail::ask<T>(shared_->connection, kind, std::move(fields), std::move(done));
    }

    detail::Sink turn_sink(TurnHandlers handlers) const {
        if (!handlers.on_action) {
            handlers.on_action = shared_->on_action;
        }
        return [handlers = std::move(handlers), connection = shared_->connection](Result<Reply> reply) {
            if (const Token* token = reply ? std::get_if<Token>(&*reply) : nullptr) {
                if (handlers.on_token) {
                    handlers.on_token(*token);
                }
            } else if (const Sentence* sentence = reply ? std::get_if<Sentence>(&*reply) : nullptr) {
                if (handlers.on_sentence) {
                    handlers.on_sentence(*sentence);
                }
            } else if (const ActionCall* call = reply ? std::get_if<ActionCall>(&*reply) : nullptr) {
                if (handlers.on_action) {
                    handlers.on_action(*call, ActionReply(connection, call->conversation_id, call->call_id));
                }
            } else {
                auto end = detail::answer_of<TurnEnd>(std::move(reply));
                if (handlers.on_end) {
                    handlers.on_end(std::move(end));
                } else if (!end) {
                    connection->report(end.error());
                }
            }
        };
    }

    std::shared_ptr<Shared> shared_;
};

inline void ActionReply::send(const char* field, Value value, OnDone<Ok> done) const {
    Map fields{{"conversation_id", conversation_id_}, {"call_id", call_id_}};
    fields.insert_or_assign(field, std::move(value));
    detail::ask<Ok>(connection_, "action_result", std::move(fields), std::move(done));
}

inline void ActionReply::result(Map data, OnDone<Ok> done) const { send("result", std::move(data), std::move(done)); }

inline void ActionReply::error(std::string reason, OnDone<Ok> done) const {
    send("error", std::move(reason), std::move(done));
}

}  // namespace npc_engine

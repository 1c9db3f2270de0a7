// The server's messages as types, made from decoded fields.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "npc_engine/errors.hpp"
#include "npc_engine/schema.hpp"
#include "npc_engine/value.hpp"

namespace npc_engine {

/// What the server accepts from this client.
struct ConnectionLimits {
    std::int64_t max_frame_bytes = 0;    ///< Largest message, bytes.
    std::int64_t max_message_depth = 0;  ///< Deepest nesting; the message itself is 1.
    std::int64_t max_text_chars = 0;     ///< Longest player line or world event, code points.
    std::int64_t max_conversations = 0;  ///< Open conversations of one client.
    double client_timeout_s = 0.0;       ///< A client silent this long is dropped; poll() keeps it alive.
    double turn_deadline_s = 0.0;        ///< A turn ends by then.
    double action_timeout_s = 0.0;       ///< How long an action's result may take.
};

/// Answers connect().
struct Welcome {
    std::int64_t protocol_version = 0;
    std::string engine_version;  ///< For logs.
    ConnectionLimits limits;
};

/// One character that can be talked to.
struct CharacterEntry {
    std::string id;  ///< What open() takes.
    std::string name;
    std::string role;
};

/// Answers list_characters.
struct Characters {
    std::vector<CharacterEntry> entries;  ///< Sorted by id.
};

/// Answers open().
struct ConversationOpened {
    std::string conversation_id;
    std::string greeting;  ///< The authored first line; may be empty.
};

/// Answers Conversation::close().
struct ConversationClosed {
    std::string conversation_id;
};

/// A piece of speech: append it to what is shown.
struct Token {
    std::string conversation_id;
    std::string text;
};

/// One whole sentence, after the tokens that spell it.
struct Sentence {
    std::string conversation_id;
    std::int64_t index = 0;  ///< 0 for a reply's first sentence.
    std::string text;
};

/// The game is asked to run an action.
struct ActionCall {
    std::string conversation_id;
    std::string call_id;
    std::string name;  ///< As the sheet or OpenOptions::declare_actions has it.
    Map arguments;     ///< By parameter name, of the declared types.
    std::string idempotency_key = {};             ///< Run calls of one key once; the same where a call is repeated.
    std::optional<double> cost = std::nullopt;    ///< What the action declares that a call costs.
};

enum class FinishReason { stop, length, cancelled, guard };
enum class ReplySource { model, fallback, none };

/// Answers Conversation::set_controls().
struct ControlsSet {
    std::string conversation_id;
    Map controls;  ///< What the conversation sets now; nil where it leaves a control to the sheet.
    Map in_force;  ///< By route of a turn, such as `task`: the value of every control from the next turn on.
};

/// Answers Conversation::undo().
struct Undone {
    std::string conversation_id;
    std::int64_t remaining = 0;  ///< How many turns are left that can be taken back.
};

/// The last message of a turn.
struct TurnEnd {
    std::string conversation_id;
    std::string text;  ///< The reply that counts.
    FinishReason finish_reason = FinishReason::stop;
    ReplySource source = ReplySource::none;
    Map trace;  ///< For tools and logs; its keys are not part of the contract.
};

/// Answers cancel, an action's result, a world event and a change of state.
struct Ok {
    std::optional<bool> cancelled;  ///< For cancel: whether a turn was running.
};

/// Answers health().
struct HealthReport {
    Map engine;
    Map server;
};

/// Answers metrics().
struct MetricsReport {
    std::string text;  ///< The Prometheus text format.
};

/// Any message of the server; Error is its `error`.
using Reply = std::variant<Welcome, Characters, ConversationOpened, ConversationClosed, Token, Sentence, ActionCall,
                           TurnEnd, Ok, ControlsSet, Undone, HealthReport, MetricsReport, Error>;

/// Whether more replies to the same request follow this one.
inline bool is_last(const Reply& reply) {
    return !std::holds_alternative<Token>(reply) && !std::holds_alternative<Sentence>(reply) &&
           !std::holds_alternative<ActionCall>(reply);
}

namespace detail {

// Reads fields that refuse_reply has let pass, so that every reader finds its type.
class Reader {
public:
    explicit Reader(const Map& fields) : fields_(fields) {}

    std::string text(std::string_view name) const { return get(fields_, name).text_or({}); }
    std::int64_t whole(std::string_view name) const { return get(fields_, name).integer_or(0); }
    double number(std::string_view name) const { return get(fields_, name).number_or(0.0); }
    Map data(std::string_view name) const {
        const Map* map = get(fields_, name).map();
        return map != nullptr ? *map : Map();
    }
    const Value& value(std::string_view name) const { return get(fields_, name); }

private:
    const Map& fields_;
};

inline Welcome read_welcome(const Reader& fields) {
    const Map limits = fields.data("limits");
    const Reader limit(limits);
    return Welcome{fields.whole("protocol_version"), fields.text("engine_version"),
                   ConnectionLimits{limit.whole("max_frame_bytes"), limit.whole("max_message_depth"),
                                    limit.whole("max_text_chars"), limit.whole("max_conversations"),
                                    limit.number("client_timeout_s"), limit.number("turn_deadline_s"),
                                    limit.number("action_timeout_s")}};
}

inline Characters read_characters(const Reader& fields) {
    Characters characters;
    for (const Value& entry : *fields.value("characters").array()) {
        const Reader each(*entry.map());
        characters.entries.push_back({each.text("id"), each.text("name"), each.text("role")});
    }
    return characters;
}

inline std::optional<FinishReason> read_finish_reason(std::string_view name) {
    if (name == "stop") return FinishReason::stop;
    if (name == "length") return FinishReason::length;
    if (name == "cancelled") return FinishReason::cancelled;
    if (name == "guard") return FinishReason::guard;
    return std::nullopt;
}

inline std::optional<ReplySource> read_source(std::string_view name) {
    if (name == "model") return ReplySource::model;
    if (name == "fallback") return ReplySource::fallback;
    if (name == "none") return ReplySource::none;
    return std::nullopt;
}

inline Result<Reply> read_turn_end(const Reader& fields) {
    const auto reason = read_finish_reason(fields.text("finish_reason"));
    const auto source = read_source(fields.text("source"));
    if (!reason || !source) {
        return schema::invalid("turn_end", "finish_reason or source: unknown value");
    }
    return Reply(TurnEnd{fields.text("conversation_id"), fields.text("text"), *reason, *source, fields.data("trace")});
}

}  // namespace detail

/// Makes the server's message from its fields. NPC202, NPC203: it is none that this release knows.
inline Result<Reply> parse_reply(const Map& message) {
    if (auto error = schema::refuse_reply(message)) {
        return *error;
    }
    const detail::Reader fields(message);
    const std::string kind = fields.text("kind");
    const std::string conversation_id = fields.text("conversation_id");
    if (kind == "welcome") return Reply(detail::read_welcome(fields));
    if (kind == "characters") return Reply(detail::read_characters(fields));
    if (kind == "conversation_opened") return Reply(ConversationOpened{conversation_id, fields.text("greeting")});
    if (kind == "conversation_closed") return Reply(ConversationClosed{conversation_id});
    if (kind == "token") return Reply(Token{conversation_id, fields.text("text")});
    if (kind == "sentence") return Reply(Sentence{conversation_id, fields.whole("index"), fields.text("text")});
    if (kind == "action_call") {
        return Reply(ActionCall{conversation_id, fields.text("call_id"), fields.text("name"), fields.data("arguments"),
                                fields.text("idempotency_key"), fields.value("cost").number()});
    }
    if (kind == "turn_end") return detail::read_turn_end(fields);
    if (kind == "ok") return Reply(Ok{fields.value("cancelled").boolean()});
    if (kind == "controls_set") {
        return Reply(ControlsSet{conversation_id, fields.data("controls"), fields.data("in_force")});
    }
    if (kind == "undone") return Reply(Undone{conversation_id, fields.whole("remaining")});
    if (kind == "health_report") return Reply(HealthReport{fields.data("engine"), fields.data("server")});
    if (kind == "metrics_report") return Reply(MetricsReport{fields.text("text")});
    return Reply(Error(fields.text("code"), fields.text("message"), fields.text("hint"),
                       fields.value("retry_after_s").number()));
}

}  // namespace npc_engine

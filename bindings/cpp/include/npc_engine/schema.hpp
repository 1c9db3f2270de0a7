// Every message of the protocol as a table of fields, and the two tests against it: strict for what this side sends,
// lenient towards fields of a newer server for what it receives. Knows nothing of bytes or sockets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "npc_engine/detail/utf8.hpp"
#include "npc_engine/errors.hpp"
#include "npc_engine/value.hpp"

namespace npc_engine {

inline constexpr std::int64_t protocol_version = 1;

/// The largest request id: what a double holds exactly.
inline constexpr std::int64_t max_request_id = (std::int64_t{1} << 53) - 1;

namespace schema {

enum class Type { request_id, seed, whole, count, positive, number, boolean, text, data, texts, maps, limits, entries };

/// One field of a message. `min_chars` and `max_chars` hold for texts and for each text of an array.
struct Field {
    std::string_view name;
    Type type;
    bool is_required = true;
    bool is_nullable = false;
    std::size_t min_chars = 0;
    std::size_t max_chars = SIZE_MAX;
};

struct Message {
    std::string_view kind;
    std::vector<Field> fields;  ///< Without `kind`.
};

/// The largest seed of a turn.
inline constexpr std::int64_t max_seed = (std::int64_t{1} << 32) - 1;

inline constexpr std::size_t max_id_chars = 128;
inline constexpr std::size_t max_name_chars = 200;
inline constexpr std::size_t max_reason_chars = 2000;

inline Field id(std::string_view name, bool may_be_absent = false) {
    return Field{name, Type::text, !may_be_absent, may_be_absent, 1, max_id_chars};
}

inline Field text(std::string_view name, std::size_t min_chars = 0) {
    return Field{name, Type::text, true, false, min_chars};
}

/// What a client may send.
inline const std::vector<Message>& requests() {
    static const Field request{"request_id", Type::request_id};
    static const std::vector<Message> table{
        {"hello", {request, {"protocol_version", Type::whole}, {"client", Type::text, false, false, 0, max_name_chars}}},
        {"list_characters", {request}},
        {"open_conversation",
         {request, id("character_id"), id("player_id"), {"player_name", Type::text, false, true, 0, max_name_chars},
          {"state", Type::data, false}, {"actions", Type::texts, false, false, 1, max_id_chars},
          {"declare_actions", Type::maps, false}}},
        {"close_conversation", {request, id("conversation_id")}},
        {"say",
         {request, id("conversation_id"), text("text", 1), {"controls", Type::data, false, true},
          {"seed", Type::seed, false, true}}},
        {"cancel", {request, id("conversation_id")}},
        {"action_result",
         {request, id("conversation_id"), id("call_id"), {"result", Type::data, false, true},
          {"error", Type::text, false, true, 1, max_reason_chars}}},
        {"world_event",
         {request, id("conversation_id", true), text("text", 1), {"game_time", Type::number, false, true}}},
        {"set_state", {request, id("conversation_id"), {"changes", Type::data}}},
        {"set_controls", {request, id("conversation_id"), {"controls", Type::data}}},
        {"undo", {request, id("conversation_id"), {"turns", Type::positive, false}}},
        {"health", {request}},
        {"metrics", {request}},
        {"bye", {request}},
    };
    return table;
}

/// What a server may send.
inline const std::vector<Message>& replies() {
    static const Field request{"request_id", Type::request_id};
    static const std::vector<Message> table{
        {"welcome", {request, {"protocol_version", Type::whole}, text("engine_version"), {"limits", Type::limits}}},
        {"characters", {request, {"characters", Type::entries}}},
        {"conversation_opened", {request, id("conversation_id"), text("greeting")}},
        {"conversation_closed", {request, id("conversation_id")}},
        {"token", {request, id("conversation_id"), text("text")}},
        {"sentence", {request, id("conversation_id"), {"index", Type::count}, text("text")}},
        {"action_call",
         {request, id("conversation_id"), id("call_id"), text("name"), {"arguments", Type::data},
          {"idempotency_key", Type::text, false}, {"cost", Type::number, false, true}}},
        {"turn_end",
         {request, id("conversation_id"), text("text"), text("finish_reason"), text("source"), {"trace", Type::data}}},
        {"controls_set", {request, id("conversation_id"), {"controls", Type::data}, {"in_force", Type::data}}},
        {"undone", {request, id("conversation_id"), {"remaining", Type::count}}},
        {"ok", {request, {"cancelled", Type::boolean, false, true}}},
        {"health_report", {request, {"engine", Type::data}, {"server", Type::data}}},
        {"metrics_report", {request, text("text")}},
        {"error",
         {{"request_id", Type::request_id, true, true}, text("code"), text("message"), text("hint"),
          {"retry_after_s", Type::number, false, true}}},
    };
    return table;
}

/// `welcome.limits`.
inline const std::vector<Field>& limit_fields() {
    static const std::vector<Field> table{
        {"max_frame_bytes", Type::whole},    {"max_message_depth", Type::whole}, {"max_text_chars", Type::whole},
        {"max_conversations", Type::whole},  {"client_timeout_s", Type::number}, {"turn_deadline_s", Type::number},
        {"action_timeout_s", Type::number},
    };
    return table;
}

/// One entry of `characters`.
inline const std::vector<Field>& entry_fields() {
    static const std::vector<Field> table{id("id"), text("name"), text("role")};
    return table;
}

// What is wrong with a field, or an empty text. Declared ahead: limits and entries hold fields of their own.
inline std::string problem_with(const Value& value, const Field& field);

inline std::string problem_with(const Map& fields, const std::vector<Field>& table) {
    for (const Field& field : table) {
        const auto found = fields.find(field.name);
        std::string problem;
        if (found == fields.end()) {
            problem = field.is_required ? "is missing" : "";
        } else if (!(found->second.is_null() && field.is_nullable)) {
            problem = problem_with(found->second, field);
        }
        if (!problem.empty()) {
            return std::string(field.name) + ": " + problem;
        }
    }
    return {};
}

inline std::string problem_with_text(const std::string* text, const Field& field) {
    if (text == nullptr) {
        return "a text is required";
    }
    const auto num_chars = detail::count_characters(*text);
    if (!num_chars) {
        return "a text that is not UTF-8";
    }
    const bool fits = *num_chars >= field.min_chars && *num_chars <= field.max_chars;
    return fits ? "" : "a text of " + std::to_string(*num_chars) + " characters is too short or too long";
}

inline std::string problem_with(const Value& value, const Field& field) {
    const auto whole = value.integer();
    switch (field.type) {
        case Type::request_id:
            return whole && *whole >= 0 && *whole <= max_request_id ? "" : "an integer from 0 to 2^53 - 1 is required";
        case Type::seed:
            return whole && *whole >= 0 && *whole <= max_seed ? "" : "an integer from 0 to 2^32 - 1 is required";
        case Type::positive:
            return whole && *whole >= 1 ? "" : "an integer of at least 1 is required";
        case Type::whole:
            return whole ? "" : "an integer is required";
        case Type::count:
            return whole && *whole >= 0 ? "" : "an integer of at least 0 is required";
        case Type::number:
            return value.number() ? "" : "a number is required";
        case Type::boolean:
            return value.boolean() ? "" : "true or false is required";
        case Type::text:
            return problem_with_text(value.text(), field);
        case Type::data:
            return value.map() != nullptr ? "" : "a map is required";
        case Type::limits:
            return value.map() != nullptr ? problem_with(*value.map(), limit_fields()) : "a map is required";
        case Type::texts:
        case Type::maps:
        case Type::entries:
            break;
    }
    if (value.array() == nullptr) {
        return "an array is required";
    }
    for (const Value& item : *value.array()) {
        std::string problem;
        if (field.type == Type::texts) {
            problem = problem_with_text(item.text(), field);
        } else if (field.type == Type::maps) {
            problem = item.map() != nullptr ? "" : "a map is required";
        } else {
            problem = item.map() != nullptr ? problem_with(*item.map(), entry_fields()) : "a map is required";
        }
        if (!problem.empty()) {
            return problem;
        }
    }
    return {};
}

/// The message of this kind, or the error that names what is wrong with `kind`.
inline Result<const Message*> find_message(const Map& fields, const std::vector<Message>& table) {
    const std::string* kind = get(fields, "kind").text();
    if (kind == nullptr) {
        return Error(codes::invalid_message, "kind: a text is required", "every message names its kind");
    }
    for (const Message& message : table) {
        if (message.kind == *kind) {
            return &message;
        }
    }
    return Error(codes::unknown_kind, "unknown kind '" + kind->substr(0, max_id_chars) + "'",
                 "use a client and an engine of the same release");
}

inline Error invalid(std::string_view kind, const std::string& problem) {
    return Error(codes::invalid_message, std::string(kind) + "." + problem,
                 "docs/protocol.md lists every message's fields");
}

/// Nothing where the request is legal; else NPC202, NPC203, or NPC204 for a hello of another version.
inline std::optional<Error> refuse_request(const Map& fields) {
    const auto message = find_message(fields, requests());
    if (!message) {
        return message.error();
    }
    const std::string_view kind = (*message)->kind;
    const auto version = get(fields, "protocol_version").integer();
    // Before the fields: a later version's hello may have others.
    if (kind == "hello" && version && *version != protocol_version) {
        return Error(codes::unsupported_version, "this side speaks protocol version 1",
                     "use a client and an engine of the same release");
    }
    const std::string problem = problem_with(fields, (*message)->fields);
    if (!problem.empty()) {
        return invalid(kind, problem);
    }
    for (const auto& [name, value] : fields) {
        bool is_known = name == "kind";
        for (const Field& field : (*message)->fields) {
            is_known = is_known || field.name == name;
        }
        if (!is_known) {
            return invalid(kind, name.substr(0, max_id_chars) + ": unknown field");
        }
    }
    if (kind == "action_result" && get(fields, "result").is_null() == get(fields, "error").is_null()) {
        return invalid(kind, "result: exactly one of result and error must be set");
    }
    return std::nullopt;
}

/// Nothing where the reply is legal, whatever other fields it carries; else NPC202 or NPC203.
inline std::optional<Error> refuse_reply(const Map& fields) {
    const auto message = find_message(fields, replies());
    if (!message) {
        return message.error();
    }
    const std::string problem = problem_with(fields, (*message)->fields);
    return problem.empty() ? std::nullopt : std::optional<Error>(invalid((*message)->kind, problem));
}

/// The request id of a message that may be wrong otherwise.
inline std::optional<std::int64_t> request_id_of(const Map& fields) {
    const auto request_id = get(fields, "request_id").integer();
    return request_id && *request_id >= 0 && *request_id <= max_request_id ? request_id : std::nullopt;
}

}  // namespace schema
}  // namespace npc_engine

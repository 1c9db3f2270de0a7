// The codec against the golden vectors, and against random and broken bytes: test_codec tests/wire.
#include <npc_engine/codec.hpp>
#include <npc_engine/messages.hpp>
#include <npc_engine/schema.hpp>

#include "expect.hpp"

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

namespace {

using namespace npc_engine;
using nlohmann::json;

Value to_value(const json& data) {
    switch (data.type()) {
        case json::value_t::boolean:
            return Value(data.get<bool>());
        case json::value_t::number_integer:
        case json::value_t::number_unsigned:
            return Value(data.get<std::int64_t>());
        case json::value_t::number_float:
            return Value(data.get<double>());
        case json::value_t::string:
            return Value(data.get<std::string>());
        case json::value_t::array: {
            Array items;
            for (const json& item : data) {
                items.push_back(to_value(item));
            }
            return Value(std::move(items));
        }
        case json::value_t::object: {
            Map fields;
            for (const auto& [key, item] : data.items()) {
                fields.emplace(key, to_value(item));
            }
            return Value(std::move(fields));
        }
        default:
            return Value();
    }
}

std::string from_hex(const std::string& hex) {
    std::string bytes;
    for (std::size_t at = 0; at < hex.size(); at += 2) {
        bytes.push_back(static_cast<char>(std::stoi(hex.substr(at, 2), nullptr, 16)));
    }
    return bytes;
}

json read(const std::string& path) {
    std::ifstream file(path);
    EXPECT(file.good(), path);
    return json::parse(file);
}

void golden_messages(const std::string& folder, std::vector<std::string>& frames) {
    const json vectors = read(folder + "/messages.json");
    for (const json& vector : vectors.at("messages")) {
        const std::string name = vector.at("name");
        const std::string frame = from_hex(vector.at("hex"));
        const Map meaning = *to_value(vector.at("meaning")).map();
        const auto fields = unpack(frame);
        EXPECT(fields.ok(), name);
        const bool is_request = vector.at("direction") == "client_to_server";
        EXPECT(!(is_request ? schema::refuse_request(*fields) : schema::refuse_reply(*fields)), name);
        if (vector.at("canonical")) {
            EXPECT(*fields == meaning, name);
            const auto packed = pack(meaning);
            EXPECT(packed.ok(), name);
            EXPECT(*unpack(*packed) == meaning, name + ", packed and unpacked");
            // The same length: nothing is written wider than it must be.
            EXPECT(packed->size() == frame.size(), name + ", its length");
        }
        if (!is_request) {
            EXPECT(parse_reply(*fields).ok(), name);
        }
        frames.push_back(frame);
    }
    EXPECT(frames.size() > 30, "too few vectors");
}

void refused_frames(const std::string& folder, std::vector<std::string>& frames) {
    const json vectors = read(folder + "/refused.json");
    for (const json& vector : vectors.at("frames")) {
        const std::string name = vector.at("name");
        const std::string frame = from_hex(vector.at("hex"));
        const auto fields = unpack(frame);
        const auto error = fields.ok() ? schema::refuse_request(*fields) : std::optional(fields.error());
        EXPECT(error.has_value(), name + " was accepted");
        EXPECT(error->code == vector.at("code"), name + ": " + error->describe());
        frames.push_back(frame);
    }
}

void replies() {
    const auto token = unpack(*pack({{"kind", "token"}, {"request_id", 4}, {"conversation_id", "7f3a"},
                                     {"text", " twelve"}, {"mood", "calm"}}));
    const auto reply = parse_reply(*token);
    EXPECT(reply.ok() && std::get<Token>(*reply).text == " twelve", "a field of a newer server is ignored");
    const Map end{{"kind", "turn_end"}, {"request_id", 4}, {"conversation_id", "7f3a"}, {"text", ""},
                  {"finish_reason", "bored"}, {"source", "model"}, {"trace", Map{}}};
    EXPECT(parse_reply(end).error().is("NPC202"), "an unknown finish_reason");
    EXPECT(parse_reply({{"kind", "token"}, {"request_id", 4}}).error().is("NPC202"), "missing fields");
    EXPECT(parse_reply({{"kind", "health"}, {"request_id", 4}}).error().is("NPC203"), "a kind of the other direction");
}

void refused_when_packed() {
    const auto code_of = [](Value value) {
        const auto packed = pack({{"x", std::move(value)}});
        return packed.ok() ? std::string("none") : packed.error().code;
    };
    EXPECT(code_of(std::numeric_limits<double>::quiet_NaN()) == "NPC201", "NaN");
    EXPECT(code_of(std::numeric_limits<double>::infinity()) == "NPC201", "infinity");
    EXPECT(code_of("\xff\xfe") == "NPC201", "bytes that are not UTF-8");
    EXPECT(code_of("\xed\xa0\x80") == "NPC201", "a surrogate");
    EXPECT(code_of(Array(4097)) == "NPC201", "4097 items");
    EXPECT(code_of(Array(4096)) == "none", "4096 items");
    EXPECT(code_of(std::string(std::size_t{1} << 20, 'x')) == "NPC206", "a large text");
    Value deep;
    for (int depth = 0; depth < 15; ++depth) {
        deep = Array{deep};
    }
    EXPECT(code_of(deep) == "none", "16 deep");
    EXPECT(code_of(Array{deep}) == "NPC201", "17 deep");
}

// A frame gives a message that can be packed again, or a coded error.
void read_any(const std::string& frame) {
    const auto fields = unpack(frame);
    if (!fields) {
        EXPECT(fields.error().is("NPC201") || fields.error().is("NPC206"), fields.error().describe());
        return;
    }
    const auto again = pack(*fields);
    EXPECT(again.ok() && *unpack(*again) == *fields, "not the same when packed again");
    const auto reply = parse_reply(*fields);
    EXPECT(reply.ok() || reply.error().is("NPC202") || reply.error().is("NPC203"), "another code");
    (void)schema::refuse_request(*fields);
}

void fuzz(const std::vector<std::string>& frames) {
    std::mt19937 random(20240607);
    const auto below = [&](std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random); };
    for (int round = 0; round < 50'000; ++round) {
        std::string noise(below(200), '\0');
        for (char& byte : noise) {
            byte = static_cast<char>(below(256));
        }
        read_any(noise);
        // Noise is rarely a map: begin it as one.
        if (!noise.empty()) {
            noise[0] = static_cast<char>(0x80 + below(16));
            read_any(noise);
        }
        std::string frame = frames[below(frames.size())];
        if (frame.size() > 4096 || frame.empty()) {
            continue;
        }
        read_any(frame.substr(0, below(frame.size())));
        for (std::size_t change = below(4); change > 0; --change) {
            frame[below(frame.size())] = static_cast<char>(below(256));
        }
        read_any(frame);
        frame.insert(below(frame.size() + 1), noise.substr(0, 4));
        read_any(frame);
    }
}

}  // namespace

int main(int argc, char** argv) {
    EXPECT(argc == 2, "usage: test_codec tests/wire");
    std::vector<std::string> frames;
    golden_messages(argv[1], frames);
    refused_frames(argv[1], frames);
    replies();
    refused_when_packed();
    fuzz(frames);
    std::puts("codec: ok");
}

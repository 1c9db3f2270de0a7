// A client's CURVE keys, for a server on another machine.
#pragma once

#include <fstream>
#include <string>
#include <string_view>

#include "npc_engine/errors.hpp"

namespace npc_engine {

/// What a client needs to talk to a server with keys; Z85 text of 40 characters each.
struct CurveKeys {
    std::string server_public_key;
    std::string public_key;  ///< This client's; the server must know it.
    std::string secret_key;

    /// Reads the keys from two files of a key folder (`server.key` and `game.key_secret`). NPC001: a file is missing
    /// or does not hold what it should.
    static Result<CurveKeys> load(const std::string& server_key_path, const std::string& client_secret_key_path);
};

namespace detail {

// The quoted text behind `name =` in a ZeroMQ certificate; empty where there is none.
inline std::string read_certificate(const std::string& path, std::string_view name) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        const std::size_t start = line.find_first_not_of(" \t");
        if (start == std::string::npos || line.compare(start, name.size(), name) != 0) {
            continue;
        }
        const std::size_t open = line.find('"', start);
        const std::size_t close = line.rfind('"');
        if (open != std::string::npos && close > open) {
            return line.substr(open + 1, close - open - 1);
        }
    }
    return {};
}

}  // namespace detail

inline Result<CurveKeys> CurveKeys::load(const std::string& server_key_path,
                                         const std::string& client_secret_key_path) {
    constexpr std::size_t num_z85_chars = 40;
    CurveKeys keys;
    keys.server_public_key = detail::read_certificate(server_key_path, "public-key");
    keys.public_key = detail::read_certificate(client_secret_key_path, "public-key");
    keys.secret_key = detail::read_certificate(client_secret_key_path, "secret-key");
    const bool has_server = keys.server_public_key.size() == num_z85_chars;
    if (!has_server || keys.public_key.size() != num_z85_chars || keys.secret_key.size() != num_z85_chars) {
        return Error(codes::config_error,
                     "no key in " + (has_server ? client_secret_key_path : server_key_path),
                     "make keys with `npc-engine serve --generate-keys DIR`; name the client's .key_secret file");
    }
    return keys;
}

}  // namespace npc_engine

// UTF-8 as the protocol means it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace npc_engine::detail {

/// The number of code points, or nothing where the bytes are not UTF-8.
inline std::optional<std::size_t> count_characters(std::string_view text) {
    std::size_t count = 0;
    std::size_t at = 0;
    while (at < text.size()) {
        const auto lead = static_cast<unsigned char>(text[at]);
        std::size_t num_more = 0;
        // The bounds of the second byte; those of later ones are always 80 to BF.
        unsigned low = 0x80;
        unsigned high = 0xBF;
        if (lead < 0x80) {
            num_more = 0;
        } else if (lead >= 0xC2 && lead <= 0xDF) {
            num_more = 1;
        } else if (lead >= 0xE0 && lead <= 0xEF) {
            num_more = 2;
            low = lead == 0xE0 ? 0xA0 : low;
            high = lead == 0xED ? 0x9F : high;
        } else if (lead >= 0xF0 && lead <= 0xF4) {
            num_more = 3;
            low = lead == 0xF0 ? 0x90 : low;
            high = lead == 0xF4 ? 0x8F : high;
        } else {
            return std::nullopt;
        }
        if (text.size() - at <= num_more) {
            return std::nullopt;
        }
        for (std::size_t step = 1; step <= num_more; ++step) {
            const auto byte = static_cast<unsigned char>(text[at + step]);
            if (byte < low || byte > high) {
                return std::nullopt;
            }
            low = 0x80;
            high = 0xBF;
        }
        at += num_more + 1;
        ++count;
    }
    return count;
}

}  // namespace npc_engine::detail

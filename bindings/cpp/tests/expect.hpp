// The smallest test tool that says where and why, and cannot be compiled away.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

#define EXPECT(holds, why)                                                                                      \
    do {                                                                                                        \
        if (!(holds)) {                                                                                         \
            std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #holds, std::string(why).c_str());     \
            std::exit(1);                                                                                       \
        }                                                                                                       \
    } while (false)

// SPDX-License-Identifier: Apache-2.0
// operator new and delete in all their forms, and exceptions thrown past the hooks.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#define CHECK(condition)                                                                        \
    do {                                                                                        \
        if (!(condition)) {                                                                     \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);        \
            std::_Exit(1);                                                                      \
        }                                                                                       \
    } while (0)

struct alignas(256) Wide {
    char bytes[256];
};

static int handled;

static void give_up() {
    if (++handled == 3) std::set_new_handler(nullptr);
}

// Keeps 10,000 blocks of 2,000 bytes to the end; the profile should name this function.
__attribute__((noinline)) void hold_by_new() {
    for (int i = 0; i < 10000; i++) {
        char *volatile block = new char[2000];
        CHECK(block);
    }
}

static void all_forms() {
    for (int i = 0; i < 2000; i++) {
        std::unique_ptr<Wide> one(new Wide);
        std::unique_ptr<Wide[]> several(new Wide[3]);
        CHECK(reinterpret_cast<std::uintptr_t>(one.get()) % 256 == 0);
        CHECK(reinterpret_cast<std::uintptr_t>(several.get()) % 256 == 0);
        std::unique_ptr<int> quiet(new (std::nothrow) int(7));
        std::unique_ptr<Wide> quiet_wide(new (std::nothrow) Wide);
        CHECK(*quiet == 7 && quiet_wide);
        void *nothing = ::operator new(0);
        CHECK(nothing);
        ::operator delete(nothing, std::size_t(0));
    }
}

static void failures() {
    volatile std::size_t huge = SIZE_MAX / 2;
    CHECK(!::operator new(huge, std::nothrow));
    std::set_new_handler(give_up);
    bool is_thrown = false;
    try {
        ::operator delete(::operator new(huge));
    } catch (const std::bad_alloc &) {
        is_thrown = true;
    }
    CHECK(is_thrown && handled == 3);
}

static int throw_deep(int depth) {
    std::string text(100, 'x');
    if (depth == 0) throw std::runtime_error(text);
    return throw_deep(depth - 1) + static_cast<int>(text.size());
}

static void exceptions() {
    for (int i = 0; i < 2000; i++) {
        try {
            throw_deep(20);
        } catch (const std::runtime_error &error) {
            CHECK(std::string(error.what()).size() == 100);
        }
    }
    std::map<std::string, std::vector<int>> words;
    for (int i = 0; i < 20000; i++) words[std::to_string(i % 700)].push_back(i);
    CHECK(words.size() == 700);
}

int main() {
    all_forms();
    failures();
    exceptions();
    hold_by_new();
    std::puts("operators done");
}

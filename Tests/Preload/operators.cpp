// SPDX-License-Identifier: Apache-2.0
// Every form of operator new and delete, new handlers, and exceptions that unwind through
// allocations.
#include "expect.h"

#include <cstdint>
#include <map>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct alignas(256) Wide {
    char bytes[300] = {};
};

volatile std::size_t huge = SIZE_MAX / 2;
int handlerCalls = 0;

void giveUp() {
    ++handlerCalls;
    std::set_new_handler(nullptr);
}

void everyForm() {
    for (std::size_t i = 0; i < 2000; ++i) {
        delete static_cast<char *>(kept(new char));
        delete[] static_cast<char *>(kept(new char[i]));
        delete[] static_cast<char *>(kept(new (std::nothrow) char[i]));
        Wide *wide = static_cast<Wide *>(kept(new Wide));
        EXPECT(reinterpret_cast<std::uintptr_t>(wide) % alignof(Wide) == 0);
        delete wide;
        Wide *wides = static_cast<Wide *>(kept(new (std::nothrow) Wide[i % 5 + 1]));
        EXPECT(reinterpret_cast<std::uintptr_t>(wides) % alignof(Wide) == 0);
        delete[] wides;
        void *raw = kept(::operator new(i));
        ::operator delete(raw, i);
        raw = kept(::operator new(i, std::align_val_t(64)));
        EXPECT(reinterpret_cast<std::uintptr_t>(raw) % 64 == 0);
        ::operator delete(raw, i, std::align_val_t(64));
        raw = kept(::operator new(i, std::nothrow));
        ::operator delete(raw, std::nothrow);
        raw = kept(::operator new[](i, std::align_val_t(32), std::nothrow));
        ::operator delete[](raw, std::align_val_t(32), std::nothrow);
    }
    void *one = kept(::operator new(0)), *two = kept(::operator new(0));
    EXPECT(one && two && one != two);
    ::operator delete(one);
    ::operator delete(two);
    delete static_cast<char *>(nullptr);
}

void whatIsTooMuch() {
    bool isThrown = false;
    try {
        kept(::operator new(huge));
    } catch (const std::bad_alloc &) {
        isThrown = true;
    }
    EXPECT(isThrown);
    EXPECT(!kept(::operator new(huge, std::nothrow)));
    EXPECT(!kept(::operator new(huge, std::align_val_t(64), std::nothrow)));
    std::set_new_handler(giveUp);
    isThrown = false;
    try {
        kept(::operator new[](huge));
    } catch (const std::bad_alloc &) {
        isThrown = true;
    }
    EXPECT(isThrown && handlerCalls == 1);
}

// The function with the `new` expression must appear as the allocating one, not the operator.
[[gnu::noinline]] void holdByNew() {
    for (int i = 0; i < 2000; ++i) kept(new char[1000]);
}

int descend(int depth) {
    std::string text(static_cast<std::size_t>(depth) * 10 + 30, 'x');
    auto shared = std::make_shared<std::vector<int>>(10, depth);
    if (depth == 0) throw std::runtime_error(text);
    return descend(depth - 1) + (*shared)[0];
}

void exceptions() {
    int caught = 0;
    for (int i = 0; i < 2000; ++i) {
        try {
            descend(i % 30);
        } catch (const std::runtime_error &error) {
            caught += error.what()[0] == 'x';
        }
    }
    EXPECT(caught == 2000);
}

} // namespace

int main() {
    everyForm();
    whatIsTooMuch();
    exceptions();
    holdByNew();
    std::map<std::string, std::vector<int>> map;
    for (int i = 0; i < 5000; ++i) map[std::to_string(i % 500)].push_back(i);
    std::puts(map.size() == 500 ? "every operator did its work" : "no");
}

// SPDX-License-Identifier: Apache-2.0
// A program with its own allocator, exported so that it precedes preloaded hooks. All of its
// blocks, those of operator new included, come from that allocator; a foreign block ends it.
#include "expect.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace {
alignas(16) char arena[64 << 20];
std::size_t used = 0;

bool isOwn(const void *block) {
    return block >= static_cast<void *>(arena) && block < static_cast<void *>(arena + sizeof arena);
}
} // namespace

extern "C" {
void *malloc(std::size_t size) noexcept {
    std::size_t room = 16 + ((size + 15) & ~std::size_t(15));
    std::size_t at = __atomic_fetch_add(&used, room, __ATOMIC_RELAXED);
    if (at + room > sizeof arena) return nullptr;
    std::memcpy(arena + at, &size, sizeof size);
    return arena + at + 16;
}

void free(void *block) noexcept { EXPECT(!block || isOwn(block)); }

void *calloc(std::size_t count, std::size_t size) noexcept { return malloc(count * size); }

void *realloc(void *block, std::size_t size) noexcept {
    EXPECT(!block || isOwn(block));
    void *moved = malloc(size);
    if (!block || !moved) return moved;
    std::size_t before;
    std::memcpy(&before, static_cast<char *>(block) - 16, sizeof before);
    return std::memcpy(moved, block, before < size ? before : size);
}
}

int main() {
    std::string *text = new std::string(100, 'x');
    EXPECT(isOwn(kept(text)) && isOwn(text->data()));
    delete text;
    char *block = static_cast<char *>(std::malloc(10));
    std::memcpy(block, "0123456789", 10);
    // The C library's function, which calls the program's realloc.
    block = static_cast<char *>(kept(reallocarray(block, 10, 20)));
    EXPECT(isOwn(block) && std::memcmp(block, "0123456789", 10) == 0);
    std::free(block);
    std::free(kept(new char[40]));
    std::puts("every block was its own");
}

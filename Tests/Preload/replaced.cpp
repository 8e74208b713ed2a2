// SPDX-License-Identifier: Apache-2.0
// Replaces some of C++'s operators, and prints which of them each expression calls.
//
// Compiled once without FORM, as the program, and once for each FORM from 0 to 19, as an object
// that replaces that operator: a test links any subset. With HEADER=1 in the environment, a
// replaced operator puts a header before each block and checks it at the end, which works for some
// subsets only.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

using Size = std::size_t;
using Align = std::align_val_t;
using Quiet = const std::nothrow_t &;

void *replacedNew(int form, Size size, Size alignment, bool throws);
void replacedDelete(int form, void *block);

#if !defined(FORM)

extern "C" {
int outrider_heap_start(unsigned long interval) __attribute__((weak));
void outrider_heap_seed(unsigned long seed) __attribute__((weak));
}

static char calls[64];
static Size callCount;
static bool hasHeaders;
static const Size head = 64;

static void note(int form) {
    if (callCount < sizeof calls - 1) calls[callCount++] = static_cast<char>('a' + form);
}

void *replacedNew(int form, Size size, Size alignment, bool throws) {
    note(form);
    Size room = hasHeaders ? head : 0;
    char *block = nullptr;
    if (size < static_cast<Size>(-1) / 4) {
        Size step = alignment < sizeof(void *) ? sizeof(void *) : alignment;
        void *found = nullptr;
        if (posix_memalign(&found, step, size + room) == 0) block = static_cast<char *>(found);
    }
    if (!block) {
        if (throws) throw std::bad_alloc();
        return nullptr;
    }
    if (hasHeaders) memset(block, 'H', head);
    return block + room;
}

void replacedDelete(int form, void *block) {
    note(form);
    if (!block) return;
    char *begin = static_cast<char *>(block) - (hasHeaders ? head : 0);
    for (Size index = 0; hasHeaders && index < head; ++index) {
        if (begin[index] != 'H') _Exit(9);
    }
    free(begin);
}

static void *volatile kept;

// Prints the operators that an expression called, and how it ended.
template <typename Expression> static void tell(const char *what, Expression expression) {
    callCount = 0;
    memset(calls, 0, sizeof calls);
    const char *end = "";
    try {
        expression();
    } catch (const std::bad_alloc &) {
        end = " threw";
    }
    printf("%s: %s%s\n", what, calls, end);
}

struct Wide {
    alignas(64) char bytes[64];
};

int main() {
    hasHeaders = getenv("HEADER") != nullptr;
    if (outrider_heap_start && getenv("SAMPLES")) {
        outrider_heap_start(1);
        outrider_heap_seed(1);
    }
    volatile Size many = 7, far = static_cast<Size>(-1) / 2;
    Align wide{64};
    Quiet quiet = std::nothrow;
    tell("new", [&] { kept = ::operator new(many); });
    tell("delete", [&] { ::operator delete(kept); });
    tell("new[]", [&] { kept = ::operator new[](many); });
    tell("delete[]", [&] { ::operator delete[](kept); });
    tell("new quiet", [&] { kept = ::operator new(many, quiet); });
    tell("delete quiet", [&] { ::operator delete(kept, quiet); });
    tell("new[] quiet", [&] { kept = ::operator new[](many, quiet); });
    tell("delete[] quiet", [&] { ::operator delete[](kept, quiet); });
    tell("new wide", [&] { kept = ::operator new(many, wide); });
    tell("delete wide", [&] { ::operator delete(kept, wide); });
    tell("new[] wide", [&] { kept = ::operator new[](many, wide); });
    tell("delete[] wide", [&] { ::operator delete[](kept, wide); });
    tell("new wide quiet", [&] { kept = ::operator new(many, wide, quiet); });
    tell("delete wide quiet", [&] { ::operator delete(kept, wide, quiet); });
    tell("new[] wide quiet", [&] { kept = ::operator new[](many, wide, quiet); });
    tell("delete[] wide quiet", [&] { ::operator delete[](kept, wide, quiet); });
    tell("delete sized", [&] { ::operator delete(kept = ::operator new(many), many); });
    tell("delete[] sized", [&] { ::operator delete[](kept = ::operator new[](many), many); });
    tell("delete sized wide", [&] { ::operator delete(kept = ::operator new(many, wide), many, wide); });
    tell("delete[] sized wide", [&] { ::operator delete[](kept = ::operator new[](many, wide), many, wide); });
    tell("an object", [&] { kept = new Wide; delete static_cast<Wide *>(kept); });
    tell("objects", [&] { kept = new Wide[many]; delete[] static_cast<Wide *>(kept); });
    tell("nothing", [&] { ::operator delete(nullptr); ::operator delete[](nullptr); });
    tell("too much", [&] { kept = ::operator new(far); });
    tell("too much []", [&] { kept = ::operator new[](far); });
    tell("too much quiet", [&] { if (!(kept = ::operator new(far, quiet))) printf("none "); });
    tell("too much [] quiet", [&] { if (!(kept = ::operator new[](far, quiet))) printf("none "); });
    tell("too much wide", [&] { kept = ::operator new(far, wide); });
    tell("too much wide quiet", [&] { if (!(kept = ::operator new(far, wide, quiet))) printf("none "); });
}

#elif FORM == 0
void *operator new(Size size) { return replacedNew(FORM, size, 0, true); }
#elif FORM == 1
void *operator new[](Size size) { return replacedNew(FORM, size, 0, true); }
#elif FORM == 2
void *operator new(Size size, Quiet) noexcept { return replacedNew(FORM, size, 0, false); }
#elif FORM == 3
void *operator new[](Size size, Quiet) noexcept { return replacedNew(FORM, size, 0, false); }
#elif FORM == 4
void *operator new(Size size, Align alignment) { return replacedNew(FORM, size, static_cast<Size>(alignment), true); }
#elif FORM == 5
void *operator new[](Size size, Align alignment) { return replacedNew(FORM, size, static_cast<Size>(alignment), true); }
#elif FORM == 6
void *operator new(Size size, Align alignment, Quiet) noexcept {
    return replacedNew(FORM, size, static_cast<Size>(alignment), false);
}
#elif FORM == 7
void *operator new[](Size size, Align alignment, Quiet) noexcept {
    return replacedNew(FORM, size, static_cast<Size>(alignment), false);
}
#elif FORM == 8
void operator delete(void *block) noexcept { replacedDelete(FORM, block); }
#elif FORM == 9
void operator delete[](void *block) noexcept { replacedDelete(FORM, block); }
#elif FORM == 10
void operator delete(void *block, Size) noexcept { replacedDelete(FORM, block); }
#elif FORM == 11
void operator delete[](void *block, Size) noexcept { replacedDelete(FORM, block); }
#elif FORM == 12
void operator delete(void *block, Quiet) noexcept { replacedDelete(FORM, block); }
#elif FORM == 13
void operator delete[](void *block, Quiet) noexcept { replacedDelete(FORM, block); }
#elif FORM == 14
void operator delete(void *block, Align) noexcept { replacedDelete(FORM, block); }
#elif FORM == 15
void operator delete[](void *block, Align) noexcept { replacedDelete(FORM, block); }
#elif FORM == 16
void operator delete(void *block, Size, Align) noexcept { replacedDelete(FORM, block); }
#elif FORM == 17
void operator delete[](void *block, Size, Align) noexcept { replacedDelete(FORM, block); }
#elif FORM == 18
void operator delete(void *block, Align, Quiet) noexcept { replacedDelete(FORM, block); }
#elif FORM == 19
void operator delete[](void *block, Align, Quiet) noexcept { replacedDelete(FORM, block); }
#endif

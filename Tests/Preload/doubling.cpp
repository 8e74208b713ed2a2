// SPDX-License-Identifier: Apache-2.0
// A C++ function whose mangled name is short, while its demangled name doubles LEVELS times.
#include <string>

#include "expect.h"

template <class First, class Second> struct Both {};
template <int Times> struct Doubled {
    using type = Both<typename Doubled<Times - 1>::type, typename Doubled<Times - 1>::type>;
};
template <> struct Doubled<0> { using type = int; };

template <class Type> __attribute__((noinline)) void *hold(Type *) { return kept(std::malloc(100000)); }

int main() {
    EXPECT(hold(static_cast<Doubled<LEVELS>::type *>(nullptr)));
    // Links the demangler into the process.
    std::string text(100, 'd');
    std::puts(text.append("one").c_str() + 100);
}

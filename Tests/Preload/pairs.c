/* SPDX-License-Identifier: Apache-2.0
 * Allocates and frees a block of 4 KiB so many times.
 */
#include "expect.h"

int main(int count, char **arguments) {
    EXPECT(count == 2);
    for (long i = atol(arguments[1]); i > 0; i--) free(kept(malloc(4096)));
    return 0;
}

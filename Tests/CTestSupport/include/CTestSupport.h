/* SPDX-License-Identifier: Apache-2.0
 * fork(2), which Swift does not offer. */
#pragma once

/* Runs `body` in a forked child that then ends at once, and waits for it, ten seconds at most.
 * Returns the child's exit code (0 unless it crashed or hung), or -1. */
int test_in_forked_child(void (*body)(void *), void *argument);

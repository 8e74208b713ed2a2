/* SPDX-License-Identifier: Apache-2.0 */
#include "outrider_stack.h"
size_t outrider_stack_prepare_tables(void) { return 0; }
int outrider_stack_table_step(outrider_stack_point *point, outrider_stack_bounds bounds) {
    (void)point, (void)bounds;
    return 0;
}
int outrider_stack_has_table(uintptr_t pc) {
    (void)pc;
    return 0;
}

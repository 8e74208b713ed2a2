/* SPDX-License-Identifier: Apache-2.0
 * Functions whose names are hard to demangle. */
#include "CTestSupport.h"

#define TIMES_4(text) text text text text
#define TIMES_64(text) TIMES_4(TIMES_4(TIMES_4(text)))
#define TIMES_1024(text) TIMES_4(TIMES_4(TIMES_64(text)))

/* f(_: Int?????…), 8,100 bytes: within the demangler's limit. */
int deep_name(void) __asm__(
    "$s4Shop1fyySi" TIMES_1024("SgSgSg") TIMES_64("SgSgSgSgSgSgSgSgSgSgSgSgSgSgSg") "F");
/* void *hold<Both<Both<…>, …>>(…), whose type doubles 28 times. */
int doubling_cxx_name(void) __asm__(
    "_Z4holdI4Both" TIMES_4("IS0_IS0_IS0_IS0_IS0_IS0_IS0_") "IiiES1_ES2_ES3_ES4_ES5_ES6_ES7_ES8_ES9_ESA_ESB_"
    "ESC_ESD_ESE_ESF_ESG_ESH_ESI_ESJ_ESK_ESL_ESM_ESN_ESO_ESP_ESQ_ESR_EEPvPT_");
/* The same in Swift, doubling 24 times. */
int doubling_swift_name(void) __asm__(
    "$s4Shop4BothV1fyyACy" TIMES_4("ACyACyACyACyACyACy")
    "S2iGADGAEGAFGAGGAHGAIGAJGAKGALGAMGANGAOGAPGAQGARGASGATGAUGAVGAWGAXGAYGAZGA_GF");
/* Longer than the limit for displayed names. */
int long_name(void) __asm__("long_name_" TIMES_1024("abcdefghijklmnopqrstuvwxyz"));

int deep_name(void) { return 1; }
int doubling_cxx_name(void) { return 2; }
int doubling_swift_name(void) { return 3; }
int long_name(void) { return 4; }

uintptr_t test_deep_name(void) { return (uintptr_t)deep_name; }
uintptr_t test_doubling_cxx_name(void) { return (uintptr_t)doubling_cxx_name; }
uintptr_t test_doubling_swift_name(void) { return (uintptr_t)doubling_swift_name; }
uintptr_t test_long_name(void) { return (uintptr_t)long_name; }

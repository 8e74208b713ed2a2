/* SPDX-License-Identifier: Apache-2.0
 * The random numbers and the two mathematical functions of sampling, without libm.
 *
 * Exponentially distributed gaps make every byte equally likely to be sampled, whatever was
 * allocated before. The weight 1 / (1 - e^(-bytes/mean)) makes each estimate unbiased.
 */
#ifndef OUTRIDER_HEAP_RANDOM_H
#define OUTRIDER_HEAP_RANDOM_H

#include <stdint.h>
#include <string.h>

/* Splitmix64: the next random number of a thread. */
static inline uint64_t random_next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* The natural logarithm of a positive normal number; relative error below 1e-12.
 *
 * x = m * 2^k with m around 1, and ln m = 2 artanh s with s = (m-1)/(m+1), at most 0.172. */
static inline double natural_log(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & 0x000fffffffffffffu) | 0x3ff0000000000000u;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent++;
    }
    double s = (m - 1) / (m + 1), square = s * s, sum = 0;
    for (int n = 15; n >= 1; n -= 2) sum = sum * square + 1.0 / n;
    return 2 * s * sum + exponent * 0.6931471805599453;
}

/* 1 - e^(-x) for x >= 0; relative error below 1e-12.
 *
 * Uses its power series for small x, to avoid cancellation, then doubles: 1 - e^(-2y) = d * (2 - d)
 * with d = 1 - e^(-y). */
static inline double one_minus_exp(double x) {
    if (x > 40) return 1;
    int doublings = 0;
    while (x > 0.25) {
        x *= 0.5;
        doublings++;
    }
    double sum = 0;
    for (int n = 10; n >= 1; n--) sum = x / n * (1 - sum);
    while (doublings-- > 0) sum *= 2 - sum;
    return sum;
}

/* The number of bytes to the next sample, `mean` on average: floor(-mean ln u). */
static inline uint64_t random_gap(uint64_t *state, uint64_t mean) {
    /* u has 53 bits and lies in (0, 1), so the gap is finite and never negative. */
    double u = ((double)(random_next(state) >> 11) + 0.5) * 0x1p-53;
    return (uint64_t)(-(double)mean * natural_log(u));
}

#endif

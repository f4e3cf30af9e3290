// The two products of attention on tiles of a few queries by a few keys, a vector of (line, head) lanes for each pair.
#ifndef AXIAL_TILE_H
#define AXIAL_TILE_H

#include "vector.h"

namespace {

// Sizes of tiles, chosen so that accumulators fill the registers: queries and keys of a tile of logits, queries and depths of a tile of
// retrieved values, and depths of a tile of query gradients, which have two terms each.
#if AXIAL_LANES == 16
constexpr int QUERIES = 4, KEYS = 4, DEPTHS = 4, GRADIENTS = 2;
#elif AXIAL_LANES == 8
constexpr int QUERIES = 4, KEYS = 3, DEPTHS = 3, GRADIENTS = 2;
#else  // product and sum are two instructions here, which needs more registers
constexpr int QUERIES = 4, KEYS = 2, DEPTHS = 2, GRADIENTS = 1;
#endif
constexpr int PAD = QUERIES - 1;  // zeros on both sides of a row of probabilities, for distances beyond a query's keys

// Inputs of the logits of a tile; each position is a row of `depth` vectors.
struct Similarity {
    const float *q, *k;                     // content: scaled queries and keys, (L, Dk, LANES)
    const float *q_position, *query_table;  // queries of the query term, and its table (distances, Dk)
    const float *k_position, *key_table;    // keys of the key term, and its table
    int64_t depth;
    int64_t far;  // row of distance 0 in the tables
};

// Logits of T queries from p on and S keys from s on: to[i * stride + j * LANES].
template <int T, int S>
INLINE void logits(const Similarity& x, int64_t p, int64_t s, float* to, int64_t stride) {
    Vector sum[T][S];
    UNROLL for (int i = 0; i < T; ++i) UNROLL for (int j = 0; j < S; ++j) sum[i][j] = Vector{};
    const int64_t row = x.depth * LANES;
    if (x.q != nullptr) {
        const float *q = x.q + p * row, *k = x.k + s * row;
        for (int64_t d = 0; d < x.depth; ++d, q += LANES, k += LANES) {
            Vector keys[S];
            UNROLL for (int j = 0; j < S; ++j) keys[j] = load(k + j * row);
            UNROLL for (int i = 0; i < T; ++i) {
                const Vector query = load(q + i * row);
                UNROLL for (int j = 0; j < S; ++j) sum[i][j] += query * keys[j];
            }
        }
    }
    if (x.q_position != nullptr) {
        const float *q = x.q_position + p * row, *table = x.query_table + (x.far + s - p) * x.depth;
        for (int64_t d = 0; d < x.depth; ++d, q += LANES, ++table) {
            Vector queries[T];
            UNROLL for (int i = 0; i < T; ++i) queries[i] = load(q + i * row);
            UNROLL for (int distance = 1 - T; distance < S; ++distance) {
                const Vector r = all(table[distance * x.depth]);
                UNROLL for (int i = 0; i < T; ++i) {
                    if (i + distance >= 0 && i + distance < S) sum[i][i + distance] += queries[i] * r;
                }
            }
        }
    }
    if (x.k_position != nullptr) {
        const float *k = x.k_position + s * row, *table = x.key_table + (x.far + s - p) * x.depth;
        for (int64_t d = 0; d < x.depth; ++d, k += LANES, ++table) {
            Vector keys[S];
            UNROLL for (int j = 0; j < S; ++j) keys[j] = load(k + j * row);
            UNROLL for (int distance = 1 - T; distance < S; ++distance) {
                const Vector r = all(table[distance * x.depth]);
                UNROLL for (int i = 0; i < T; ++i) {
                    if (i + distance >= 0 && i + distance < S) sum[i][i + distance] += keys[i + distance] * r;
                }
            }
        }
    }
    UNROLL for (int i = 0; i < T; ++i) UNROLL for (int j = 0; j < S; ++j) store(to + i * stride + j * LANES, sum[i][j]);
}

// Logits of T queries from p on and all keys from `first` to `last`.
template <int T>
INLINE void all_logits(const Similarity& x, int64_t p, int64_t first, int64_t last, float* to, int64_t stride) {
    int64_t s = first;
    for (; s + KEYS <= last; s += KEYS) logits<T, KEYS>(x, p, s, to + (s - first) * LANES, stride);
    const int64_t rest = last - s;
    if (KEYS > 3 && rest == 3) logits<T, 3>(x, p, s, to + (s - first) * LANES, stride);
    if (KEYS > 2 && rest == 2) logits<T, 2>(x, p, s, to + (s - first) * LANES, stride);
    if (rest == 1) logits<T, 1>(x, p, s, to + (s - first) * LANES, stride);
}

// Turns a row of logits into probabilities before the division by their sum. Returns the sum; `largest` is the logit that was subtracted.
INLINE Vector softmax(float* row, int64_t count, Vector* largest) {
    Vector tops[4];  // four independent maxima, because each comparison waits for the one before
    for (int i = 0; i < 4; ++i) tops[i] = load(row + least(i, count - 1) * LANES);
    int64_t s = 4;
    for (; s + 4 <= count; s += 4) {
        UNROLL for (int i = 0; i < 4; ++i) {
            const Vector x = load(row + (s + i) * LANES);
            tops[i] = x > tops[i] ? x : tops[i];
        }
    }
    for (; s < count; ++s) {
        const Vector x = load(row + s * LANES);
        tops[0] = x > tops[0] ? x : tops[0];
    }
    tops[0] = tops[0] > tops[1] ? tops[0] : tops[1], tops[2] = tops[2] > tops[3] ? tops[2] : tops[3];
    const Vector top = tops[0] > tops[2] ? tops[0] : tops[2];
    Vector sum{}, other{};
    for (s = 0; s + 1 < count; s += 2) {
        const Vector x = exp2(load(row + s * LANES) - top), y = exp2(load(row + (s + 1) * LANES) - top);
        store(row + s * LANES, x);
        store(row + (s + 1) * LANES, y);
        sum += x;
        other += y;
    }
    if (s < count) {
        const Vector x = exp2(load(row + s * LANES) - top);
        store(row + s * LANES, x);
        sum += x;
    }
    *largest = top;
    return sum + other;
}

// Adds sum_s P[i, s] v[s, d .. d + D] of T queries and `count` keys to `sum`.
template <int T, int D>
INLINE void retrieve(const float* p, int64_t stride, const float* v, int64_t row, int64_t count, Vector (&sum)[T][D]) {
    for (int64_t s = 0; s < count; ++s, p += LANES, v += row) {
        Vector values[D];
        UNROLL for (int d = 0; d < D; ++d) values[d] = load(v + d * LANES);
        UNROLL for (int i = 0; i < T; ++i) {
            const Vector probability = load(p + i * stride);
            UNROLL for (int d = 0; d < D; ++d) sum[i][d] += probability * values[d];
        }
    }
}

// Like `retrieve`, from a table: each step takes one distance, the table's row and every query's probability at that distance.
template <int T, int D>
INLINE void retrieve_positions(const float* p, int64_t stride, const float* table, int64_t row, int64_t count, Vector (&sum)[T][D]) {
    for (int64_t r = 0; r < count; ++r, p += LANES, table += row) {
        Vector values[D];
        UNROLL for (int d = 0; d < D; ++d) values[d] = all(table[d]);
        UNROLL for (int i = 0; i < T; ++i) {
            const Vector probability = load(p + i * (stride + LANES));  // at this distance, the key of query i lies i positions further
            UNROLL for (int d = 0; d < D; ++d) sum[i][d] += probability * values[d];
        }
    }
}

}  // namespace
#endif

// Sums and sums of squares of the logits' terms over a whole axis.
//
// With fewer depths than positions the logits are not needed: sum (q.k)^2 = <Q^T Q, K^T K> for each line. For a table, the products of
// queries over all lines (their Gram matrix) replace Q^T Q for each position. Otherwise ("direct") the logits are computed one after
// the other.
#ifndef AXIAL_MOMENTS_H
#define AXIAL_MOMENTS_H

#include "pack.h"
#include "threads.h"

namespace {

constexpr int64_t TOGETHER = 8, KEPT = 8;  // groups whose products are summed together; such batches per addition to doubles

struct Moments {
    const AxialMoments* a;
    bool direct;
    int64_t phases;  // distance between groups whose lanes have the same heads
    int64_t groups_a_piece, pieces, products, doubles;
    double* sums;     // (pieces, doubles)
    float* tables;    // for each term and position: sums over the other end of r_d r_e, (2, L, D, D), and of r_d, (2, L, D)
    bool failed;
};

// Returns the row of a table at which the L distances of position `own` begin: from a query to its keys, or from queries to a key.
INLINE int64_t window(const AxialMoments& a, int term, int64_t own) {
    return a.table_reach + (term == 0 ? -own : own - (a.length - 1));
}

INLINE const float* table_of(const AxialMoments& a, int term) { return term == 0 ? a.query_table : a.key_table; }
INLINE int64_t pairs(int64_t depth) { return depth * (depth + 1) / 2; }

// Loads queries or keys of `lanes` lanes from `first` on, (L, D, LANES), with zeros in missing lanes.
INLINE void fetch_lanes(const AxialMoments& a, int64_t first, int64_t lanes, int64_t channel, float* to) {
    Run run[LANES];
    const int count = runs(first, lanes, a.heads, run);
    if (lanes < LANES) memset(to, 0, sizeof(float) * a.length * a.key_depth * LANES);
    fetch_rows(a, run, count, a.x + channel, a.x_batch, a.x_other, a.x_position, a.key_depth, to);
}

// Sums over positions: of x_d x_e, (D, D, LANES), and of x_d, (D, LANES).
INLINE void gram(const float* x, int64_t length, int64_t depth, float* to, float* sums) {
    const int64_t row = depth * LANES;
    for (int64_t d = 0; d < depth; ++d) {
        Vector sum{};
        for (int64_t p = 0; p < length; ++p) sum += load(x + p * row + d * LANES);
        store(sums + d * LANES, sum);
        for (int64_t e = 0; e <= d; e += 4) {
            Vector product[4] = {};
            const int64_t last = least(3, d - e);
            for (int64_t p = 0; p < length; ++p) {
                const float* at = x + p * row;
                const Vector mine = load(at + d * LANES);
                UNROLL for (int i = 0; i < 4; ++i) product[i] += mine * load(at + (e + least(i, last)) * LANES);
            }
            for (int64_t i = 0; i <= last; ++i) store(to + (d * depth + e + i) * LANES, product[i]), store(to + ((e + i) * depth + d) * LANES, product[i]);
        }
    }
}

// Adds the products of the depths of each position, over `count` groups, to (L, pairs + D, LANES).
INLINE void position_products(const float* x, int64_t count, int64_t length, int64_t depth, float* to) {
    const int64_t row = depth * LANES, group = length * row;
    for (int64_t p = 0; p < length; ++p, x += row) {
        for (int64_t d = 0; d < depth; ++d) {
            for (int64_t e = 0; e <= d; e += 4) {
                Vector product[4] = {};
                const int64_t last = least(3, d - e);
                for (int64_t g = 0; g < count; ++g) {
                    const float* at = x + g * group;
                    const Vector mine = load(at + d * LANES);
                    UNROLL for (int i = 0; i < 4; ++i) product[i] += mine * load(at + (e + least(i, last)) * LANES);
                }
                for (int64_t i = 0; i <= last; ++i, to += LANES) store(to, load(to) + product[i]);
            }
        }
        for (int64_t d = 0; d < depth; ++d, to += LANES) {
            Vector sum{};
            for (int64_t g = 0; g < count; ++g) sum += load(x + g * group + d * LANES);
            store(to, load(to) + sum);
        }
    }
}

// Computes the three terms of the logit of query p and key s; a missing term is zero.
INLINE void three_logits(const AxialMoments& a, const float* q, const float* k, int64_t distance, Vector* logit) {
    const float *rq = a.query_table + distance * a.key_depth, *rk = a.key_table + distance * a.key_depth;
    logit[0] = logit[1] = logit[2] = Vector{};
    for (int64_t d = 0; d < a.key_depth; ++d) {
        const Vector query = load(q + d * LANES), key = load(k + d * LANES);
        if (a.content) logit[0] += query * key;
        if (a.query_table != nullptr) logit[1] += query * rq[d];
        if (a.key_table != nullptr) logit[2] += key * rk[d];
    }
}

struct Lanes {  // for each term of a group: sums and sums of squares
    Vector sum[3], square[3];
};

INLINE void spill(const Moments& w, int64_t first, const Lanes& x, double* to) {
    const int64_t heads = w.a->heads;
    for (int term = 0; term < 3; ++term) {
        for (int64_t l = 0; l < LANES; ++l) {
            const int64_t head = (first + l) % heads;
            to[2 * term * heads + head] += x.sum[term][l], to[(2 * term + 1) * heads + head] += x.square[term][l];
        }
    }
}

// Calls a function for each group of a piece whose lanes have the heads of `phase`.
template <class Take>
INLINE void each_group(const Moments& w, int64_t index, int64_t phase, Take take) {
    const AxialMoments& a = *w.a;
    const int64_t lanes = a.batch * a.others * a.heads, groups = divide_up(lanes, LANES);
    const int64_t begin = index * w.groups_a_piece, end = least(groups, begin + w.groups_a_piece);
    for (int64_t group = begin + (phase + w.phases - begin % w.phases) % w.phases; group < end; group += w.phases) {
        take(group * LANES, least(LANES, lanes - group * LANES));
    }
}

inline void moments_forward_piece(void* data, int64_t index) {
    static thread_local Scratch scratch;
    Moments& w = *static_cast<Moments*>(data);
    const AxialMoments& a = *w.a;
    const int64_t depth = a.key_depth, vectors = a.length * depth * LANES, square = depth * depth * LANES, products = w.products * LANES;
    float* q = scratch.floats(2 * TOGETHER * vectors + 2 * square + 2 * depth * LANES + 2 * products);
    if (q == nullptr) {
        w.failed = true;
        return;
    }
    float *k = q + TOGETHER * vectors, *q_gram = k + TOGETHER * vectors, *k_gram = q_gram + square, *q_sum = k_gram + square;
    float *k_sum = q_sum + depth * LANES, *product[2] = {k_sum + depth * LANES, k_sum + depth * LANES + products};
    double *sums = w.sums + index * w.doubles, *grams = sums + 6 * a.heads;
    memset(product[0], 0, sizeof(float) * 2 * products);
    for (int64_t phase = 0; phase < w.phases; ++phase) {
        int64_t waiting = 0, batches = 0, heads_from = 0;
        const auto add_products = [&] {
            if (a.query_table != nullptr) position_products(q, waiting, a.length, depth, product[0]);
            if (a.key_table != nullptr) position_products(k, waiting, a.length, depth, product[1]);
            waiting = 0, ++batches;
        };
        const auto flush_products = [&] {
            for (int64_t i = 0; i < 2 * w.products; ++i) {
                for (int64_t l = 0; l < LANES; ++l) grams[i * a.heads + (heads_from + l) % a.heads] += product[0][i * LANES + l];
            }
            memset(product[0], 0, sizeof(float) * 2 * products);
            batches = 0;
        };
        each_group(w, index, phase, [&](int64_t first, int64_t lanes) {
            float *queries = q + waiting * vectors, *keys = k + waiting * vectors;
            fetch_lanes(a, first, lanes, 0, queries);
            fetch_lanes(a, first, lanes, a.heads * depth, keys);
            Lanes found{};
            if (w.direct) {
                for (int64_t p = 0; p < a.length; ++p) {
                    for (int64_t s = 0; s < a.length; ++s) {
                        Vector logit[3];
                        three_logits(a, queries + p * depth * LANES, keys + s * depth * LANES, s - p + a.table_reach, logit);
                        UNROLL for (int term = 0; term < 3; ++term) found.sum[term] += logit[term], found.square[term] += logit[term] * logit[term];
                    }
                }
            } else if (a.content) {
                gram(queries, a.length, depth, q_gram, q_sum), gram(keys, a.length, depth, k_gram, k_sum);
                for (int64_t i = 0; i < square; i += LANES) found.square[0] += load(q_gram + i) * load(k_gram + i);
                for (int64_t i = 0; i < depth * LANES; i += LANES) found.sum[0] += load(q_sum + i) * load(k_sum + i);
            }
            spill(w, first, found, sums);
            if (w.direct) return;
            heads_from = first % a.heads;
            if (++waiting == TOGETHER) add_products();
            if (batches == KEPT) flush_products();
        });
        if (waiting > 0) add_products();
        if (batches > 0) flush_products();
    }
}

// For each position, sums r_d r_e and r_d of both tables over the other end.
INLINE void table_products(const AxialMoments& a, float* to) {
    const int64_t depth = a.key_depth, length = a.length;
    memset(to, 0, sizeof(float) * 2 * length * depth * (depth + 1));
    float* sums = to + 2 * length * depth * depth;
    for (int term = 0; term < 2; ++term) {
        const float* table = table_of(a, term);
        for (int64_t own = 0; own < length; ++own, to += depth * depth, sums += depth) {
            if (table == nullptr) continue;
            const float* rows = table + window(a, term, own) * depth;
            for (int64_t d = 0; d < depth; ++d) {
                double sum = 0;
                for (int64_t i = 0; i < length; ++i) sum += rows[i * depth + d];
                sums[d] = static_cast<float>(sum);
                for (int64_t e = 0; e <= d; ++e) {
                    double product = 0;
                    for (int64_t i = 0; i < length; ++i) product += static_cast<double>(rows[i * depth + d]) * rows[i * depth + e];
                    to[d * depth + e] = to[e * depth + d] = static_cast<float>(product);
                }
            }
        }
    }
}

INLINE Moments prepared(const AxialMoments* a) {
    const int64_t depth = a->key_depth, groups = divide_up(a->batch * a->others * a->heads, LANES);
    Moments w{a, depth > 2 * a->length, 1, 0, 0, a->length * (pairs(depth) + depth), 0, nullptr, nullptr, false};
    while (w.phases * LANES % a->heads != 0) ++w.phases;
    w.groups_a_piece = most(1, divide_up(groups, 16));  // so that sums do not depend on the number of threads
    w.pieces = divide_up(groups, w.groups_a_piece);
    return w;
}

inline int moments_forward(const AxialMoments* a, int threads, AxialParallel parallel) {
    static thread_local Scratch scratch;
    Moments w = prepared(a);
    float* tables = scratch.floats(2 * a->length * a->key_depth * (a->key_depth + 1));
    const int64_t grams = w.direct ? 0 : 2 * w.products * a->heads;
    w.doubles = 6 * a->heads + grams;
    w.sums = static_cast<double*>(calloc(static_cast<size_t>(most(1, w.pieces) * w.doubles), sizeof(double)));
    if (w.sums == nullptr || tables == nullptr) {
        free(w.sums);
        return 1;
    }
    in_parallel(moments_forward_piece, &w, w.pieces, threads, parallel);
    for (int64_t piece = 1; piece < w.pieces; ++piece) {
        for (int64_t i = 0; i < w.doubles; ++i) w.sums[i] += w.sums[piece * w.doubles + i];
    }
    memcpy(a->sums, w.sums, sizeof(double) * 6 * a->heads);
    if (!w.direct) {
        const double* x = w.sums + 6 * a->heads;
        memcpy(a->grams, x, sizeof(double) * grams);
        table_products(*a, tables);
        const float *product = tables, *sum = tables + 2 * a->length * a->key_depth * a->key_depth;
        for (int64_t term = 0; term < 2; ++term) {
            double* to = a->sums + (2 + 2 * term) * a->heads;
            for (int64_t own = 0; own < a->length; ++own, product += a->key_depth * a->key_depth) {
                for (int64_t d = 0; d < a->key_depth; ++d) {
                    for (int64_t e = 0; e <= d; ++e) {
                        const double times = (d == e ? 1 : 2) * product[d * a->key_depth + e];
                        for (int64_t g = 0; g < a->heads; ++g, ++x) to[a->heads + g] += times * *x;
                    }
                }
                for (int64_t d = 0; d < a->key_depth; ++d, ++sum) {
                    for (int64_t g = 0; g < a->heads; ++g, ++x) to[g] += *sum * *x;
                }
            }
        }
    }
    free(w.sums);
    return w.failed ? 1 : 0;
}

}  // namespace
#endif

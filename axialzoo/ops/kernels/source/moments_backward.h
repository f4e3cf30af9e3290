// Gradients of the sums of moments.h by queries, keys and tables.
#ifndef AXIAL_MOMENTS_BACKWARD_H
#define AXIAL_MOMENTS_BACKWARD_H

#include "moments.h"

namespace {

// Adds (L, D, LANES) to the gradients of `lanes` lanes from `first` on.
INLINE void add_lanes(const AxialMoments& a, int64_t first, int64_t lanes, int64_t channel, const float* from) {
    Run run[LANES];
    const int count = runs(first, lanes, a.heads, run);
    for (int r = 0; r < count; ++r) {
        float* x = a.grad_x + run[r].line / a.others * a.x_batch + run[r].line % a.others * a.x_other + channel + run[r].head;
        const float* lane = from + run[r].lane;
        for (int64_t p = 0; p < a.length; ++p, x += a.x_position) {
            for (int64_t d = 0; d < a.key_depth; ++d, lane += LANES) {
                for (int64_t i = 0; i < run[r].count; ++i) x[d * a.heads + i] += lane[i];
            }
        }
    }
}

// Returns a factor for each lane of a group: `times` the gradient of a term's sums (0) or sums of squares (1).
INLINE Vector factor(const AxialMoments& a, int64_t first, int term, int which, double times) {
    Vector x;
    for (int64_t l = 0; l < LANES; ++l) x[l] = static_cast<float>(times * a.grad_sums[(2 * term + which) * a.heads + (first + l) % a.heads]);
    return x;
}

// Adds the gradients of a group's queries (term 0) or keys from Gram matrices to (L, D, LANES).
INLINE void gram_gradients(const Moments& w, int term, int64_t first, const float* mine, const float* other_gram, const float* other_sum, float* to) {
    const AxialMoments& a = *w.a;
    const int64_t depth = a.key_depth;
    const bool positions = table_of(a, term) != nullptr;
    const Vector content_square = factor(a, first, 0, 1, 2), content_sum = factor(a, first, 0, 0, 1);
    const Vector square = factor(a, first, 1 + term, 1, 2), sum = factor(a, first, 1 + term, 0, 1);
    const float *products = w.tables + term * a.length * depth * depth, *sums = w.tables + 2 * a.length * depth * depth + term * a.length * depth;
    for (int64_t p = 0; p < a.length; ++p, mine += depth * LANES, to += depth * LANES, products += depth * depth, sums += depth) {
        for (int64_t d = 0; d < depth; ++d) {
            Vector content{}, position{}, x{};
            for (int64_t e = 0; e < depth; ++e) {
                const Vector at = load(mine + e * LANES);
                if (a.content) content += load(other_gram + (d * depth + e) * LANES) * at;
                if (positions) position += products[d * depth + e] * at;
            }
            if (a.content) x = content_square * content + content_sum * load(other_sum + d * LANES);
            if (positions) x += square * position + sum * sums[d];
            store(to + d * LANES, x);
        }
    }
}

inline void moments_backward_piece(void* data, int64_t index) {
    static thread_local Scratch scratch;
    Moments& w = *static_cast<Moments*>(data);
    const AxialMoments& a = *w.a;
    const int64_t depth = a.key_depth, vectors = a.length * depth * LANES, square = depth * depth * LANES, rows = (2 * a.length - 1) * depth;
    float* q = scratch.floats(4 * vectors + 2 * square + 2 * depth * LANES + (w.direct ? 2 * rows * LANES : 0));
    if (q == nullptr) {
        w.failed = true;
        return;
    }
    float *k = q + vectors, *dq = k + vectors, *dk = dq + vectors, *q_gram = dk + vectors, *k_gram = q_gram + square;
    float *q_sum = k_gram + square, *k_sum = q_sum + depth * LANES, *drq = k_sum + depth * LANES, *drk = drq + rows * LANES;
    if (w.direct) memset(drq, 0, sizeof(float) * 2 * rows * LANES);
    for (int64_t phase = 0; phase < w.phases; ++phase) {
        each_group(w, index, phase, [&](int64_t first, int64_t lanes) {
            fetch_lanes(a, first, lanes, 0, q);
            fetch_lanes(a, first, lanes, a.heads * depth, k);
            if (w.direct) {
                memset(dq, 0, sizeof(float) * 2 * vectors);
                Vector squares[3], sums[3];
                for (int term = 0; term < 3; ++term) squares[term] = factor(a, first, term, 1, 2), sums[term] = factor(a, first, term, 0, 1);
                for (int64_t p = 0; p < a.length; ++p) {
                    for (int64_t s = 0; s < a.length; ++s) {
                        const int64_t at = s - p + a.table_reach, mine = (s - p + a.length - 1) * depth;
                        float *query = q + p * depth * LANES, *key = k + s * depth * LANES;
                        float *dquery = dq + p * depth * LANES, *dkey = dk + s * depth * LANES;
                        Vector logit[3];
                        three_logits(a, query, key, at, logit);
                        UNROLL for (int term = 0; term < 3; ++term) logit[term] = squares[term] * logit[term] + sums[term];
                        for (int64_t d = 0; d < depth; ++d) {
                            const Vector x = load(query + d * LANES), y = load(key + d * LANES);
                            Vector dx = load(dquery + d * LANES), dy = load(dkey + d * LANES);
                            if (a.content) dx += logit[0] * y, dy += logit[0] * x;
                            if (a.query_table != nullptr) {
                                float* to = drq + (mine + d) * LANES;
                                dx += logit[1] * a.query_table[at * depth + d];
                                store(to, load(to) + logit[1] * x);
                            }
                            if (a.key_table != nullptr) {
                                float* to = drk + (mine + d) * LANES;
                                dy += logit[2] * a.key_table[at * depth + d];
                                store(to, load(to) + logit[2] * y);
                            }
                            store(dquery + d * LANES, dx), store(dkey + d * LANES, dy);
                        }
                    }
                }
            } else {
                if (a.content) gram(q, a.length, depth, q_gram, q_sum), gram(k, a.length, depth, k_gram, k_sum);
                gram_gradients(w, 0, first, q, k_gram, k_sum, dq);
                gram_gradients(w, 1, first, k, q_gram, q_sum, dk);
            }
            add_lanes(a, first, lanes, 0, dq);
            add_lanes(a, first, lanes, a.heads * depth, dk);
        });
    }
    for (int64_t i = 0; w.direct && i < 2 * rows; ++i) {
        for (int64_t l = 0; l < LANES; ++l) w.sums[index * w.doubles + i] += drq[i * LANES + l];
    }
}

// Adds the gradients of the tables: dr += 2 M r + m. M and m are a position's products and sums from the forward pass, weighted by head.
INLINE void table_gradients(const AxialMoments& a, double* to) {
    const int64_t depth = a.key_depth;
    const double* x = a.grams;
    double* weighted = static_cast<double*>(malloc(sizeof(double) * static_cast<size_t>(depth * depth + depth)));
    if (weighted == nullptr) return;
    for (int term = 0; term < 2; ++term, to += (2 * a.length - 1) * depth) {
        const float* table = table_of(a, term);
        const double *sum = a.grad_sums + (2 + 2 * term) * a.heads, *square = sum + a.heads;
        for (int64_t own = 0; own < a.length; ++own) {
            const auto total = [&](const double* by_head) {
                double found = 0;
                for (int64_t g = 0; g < a.heads; ++g, ++x) found += by_head[g] * *x;
                return found;
            };
            for (int64_t d = 0; d < depth; ++d) {
                for (int64_t e = 0; e <= d; ++e) weighted[d * depth + e] = weighted[e * depth + d] = 2 * total(square);
            }
            for (int64_t d = 0; d < depth; ++d) weighted[depth * depth + d] = total(sum);
            if (table == nullptr) continue;
            const int64_t from = window(a, term, own);
            double* rows = to + (from - a.table_reach + a.length - 1) * depth;
            for (int64_t i = 0; i < a.length; ++i) {
                for (int64_t d = 0; d < depth; ++d) {
                    double gradient = weighted[depth * depth + d];
                    for (int64_t e = 0; e < depth; ++e) gradient += weighted[d * depth + e] * table[(from + i) * depth + e];
                    rows[i * depth + d] += gradient;
                }
            }
        }
    }
    free(weighted);
}

inline int moments_backward(const AxialMoments* a, int threads, AxialParallel parallel) {
    static thread_local Scratch scratch;
    Moments w = prepared(a);
    const int64_t depth = a->key_depth, rows = (2 * a->length - 1) * depth;
    w.doubles = 2 * rows;
    w.sums = static_cast<double*>(calloc(static_cast<size_t>(most(1, w.pieces) * w.doubles), sizeof(double)));
    w.tables = scratch.floats(2 * a->length * depth * (depth + 1));
    if (w.sums == nullptr || w.tables == nullptr) {
        free(w.sums);
        return 1;
    }
    if (!w.direct) table_products(*a, w.tables);
    in_parallel(moments_backward_piece, &w, w.pieces, threads, parallel);
    for (int64_t piece = 1; piece < w.pieces; ++piece) {
        for (int64_t i = 0; i < w.doubles; ++i) w.sums[i] += w.sums[piece * w.doubles + i];
    }
    if (!w.direct) table_gradients(*a, w.sums);
    for (int term = 0; term < 2; ++term) {
        float* to = term == 0 ? a->grad_query_table : a->grad_key_table;
        if (to == nullptr) continue;
        memset(to, 0, sizeof(float) * (2 * a->table_reach + 1) * depth);
        to += (a->table_reach - a->length + 1) * depth;
        for (int64_t i = 0; i < rows; ++i) to[i] = static_cast<float>(w.sums[term * rows + i]);
    }
    free(w.sums);
    return w.failed ? 1 : 0;
}

}  // namespace
#endif

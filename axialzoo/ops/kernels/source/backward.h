// Gradients of attention. Probabilities are recomputed tile by tile from q, k, v and each row's normaliser.
#ifndef AXIAL_BACKWARD_H
#define AXIAL_BACKWARD_H

#include "forward.h"

namespace {

// target[s, d .. d + D] += sum_i weight[i, s] x[i, d .. d + D]; weights of query i lie `step` apart.
template <int T, int D>
INLINE void accumulate(const float* weight, int64_t step, const float* x, int64_t x_row, int64_t count, float* target, int64_t row) {
    Vector values[T][D];
    UNROLL for (int i = 0; i < T; ++i) UNROLL for (int d = 0; d < D; ++d) values[i][d] = load(x + i * x_row + d * LANES);
    for (int64_t s = 0; s < count; ++s, weight += LANES, target += row) {
        Vector weights[T];
        UNROLL for (int i = 0; i < T; ++i) weights[i] = load(weight + i * step);
        UNROLL for (int d = 0; d < D; ++d) {
            Vector sum = load(target + d * LANES);
            UNROLL for (int i = 0; i < T; ++i) sum += weights[i] * values[i][d];
            store(target + d * LANES, sum);
        }
    }
}

// Like `accumulate`, where x is a table's row for each (i, s): `table` is the row of query 0 and key 0; each query begins one row earlier.
template <int T>
INLINE void accumulate_table(const float* weight, int64_t step, const float* table, int64_t depth, int64_t count, float* target) {
    for (int64_t s = 0; s < count; ++s, weight += LANES, table += depth, target += depth * LANES) {
        Vector weights[T];
        UNROLL for (int i = 0; i < T; ++i) weights[i] = load(weight + i * step);
        for (int64_t d = 0; d < depth; ++d) {
            Vector sum = load(target + d * LANES);
            UNROLL for (int i = 0; i < T; ++i) sum += weights[i] * table[d - i * depth];
            store(target + d * LANES, sum);
        }
    }
}

// Like `accumulate`, by distance, where x is the key at that distance: one position further for each query.
template <int T>
INLINE void accumulate_keys(const float* weight, int64_t step, const float* x, int64_t depth, int64_t count, float* target) {
    const int64_t row = depth * LANES;
    for (int64_t r = 0; r < count; ++r, weight += LANES, x += row, target += row) {
        Vector weights[T];
        UNROLL for (int i = 0; i < T; ++i) weights[i] = load(weight + i * step);
        for (int64_t d = 0; d < row; d += LANES) {
            Vector sum = load(target + d);
            UNROLL for (int i = 0; i < T; ++i) sum += weights[i] * load(x + i * row + d);
            store(target + d, sum);
        }
    }
}

// Sums of a piece of work over its groups: gradients of tables, (distances, D, LANES), and their sums in double.
struct Sums {
    float *query, *key, *value;
    double *query_sum, *key_sum, *value_sum, *scales;  // with the rows of the caller's tables; (3, G)
};

struct Backward {
    const AxialBackward* b;
    Table query, key, value;
    int64_t far, pieces, groups_a_piece, doubles;
    double* sums;  // (pieces, doubles)
    bool failed;
};

struct Gradients {
    Run run[LANES];
    int runs;
    float *q, *aq, *bq, *k, *ck, *v, *content, *position, *normaliser, *dq, *dk, *dk_position, *dv, *p, *ds;
    Vector a, b, c, da, db, dc;
};

template <int T, int D>
INLINE void query_gradients(const Backward& w, Gradients& g, int64_t p, int64_t d, int64_t first, int64_t count, int64_t stride) {
    const int64_t depth = w.b->forward.key_depth, row = depth * LANES, nearest = first - p - (T - 1);
    Vector content[T][D], position[T][D];
    UNROLL for (int i = 0; i < T; ++i) UNROLL for (int j = 0; j < D; ++j) content[i][j] = position[i][j] = Vector{};
    if (w.b->forward.content_scale != nullptr) retrieve<T, D>(g.ds, stride, g.k + first * row + d * LANES, row, count, content);
    if (w.query.rows != nullptr) {
        const float* table = w.query.rows + (w.far + nearest) * depth + d;
        retrieve_positions<T, D>(g.ds - (T - 1) * LANES, stride, table, depth, count + T - 1, position);
    }
    UNROLL for (int i = 0; i < T; ++i) UNROLL for (int j = 0; j < D; ++j) {
        const Vector q = load(g.q + (p + i) * row + (d + j) * LANES);
        g.da += q * content[i][j];
        g.db += q * position[i][j];
        store(g.dq + (p + i) * row + (d + j) * LANES, g.a * content[i][j] + g.b * position[i][j]);
    }
}

// Calls `accumulate` for all depths. If `diagonal`, it goes by distance: weights and target begin T - 1 earlier and are T - 1 longer.
template <int T>
INLINE void accumulate_all(const float* weight, int64_t stride, bool diagonal, const float* x, int64_t depth, int64_t count, float* target) {
    const int64_t row = depth * LANES, step = diagonal ? stride + LANES : stride;
    if (diagonal) weight -= (T - 1) * LANES, count += T - 1;
    int64_t d = 0;
    for (; d + DEPTHS <= depth; d += DEPTHS) accumulate<T, DEPTHS>(weight, step, x + d * LANES, row, count, target + d * LANES, row);
    for (; d < depth; ++d) accumulate<T, 1>(weight, step, x + d * LANES, row, count, target + d * LANES, row);
}

template <int T>
inline void query_tile(const Backward& w, Gradients& g, Sums& sums, const Similarity& x, const Similarity& dx, int64_t p, int64_t stride) {
    const AxialForward& a = w.b->forward;
    const int64_t first = most(0, p - a.reach), last = least(a.length, p + T + a.reach), count = last - first;
    all_logits<T>(x, p, first, last, g.p, stride);
    all_logits<T>(dx, p, first, last, g.ds, stride);
    for (int i = 0; i < T; ++i) {
        float *mine = g.p + i * stride, *gradient = g.ds + i * stride;
        const int64_t begin = most(first, p + i - a.reach) - first, end = least(last, p + i + a.reach + 1) - first;
        const Vector normaliser = load(g.normaliser + (p + i) * LANES);
        Vector sum{}, total{};  // total: 1 up to rounding of the normaliser
        for (int64_t s = begin; s < end; ++s) {
            const Vector probability = exp2(load(mine + s * LANES) * LOG2E - normaliser);
            store(mine + s * LANES, probability);
            total += probability;
            sum += probability * load(gradient + s * LANES);
        }
        const Vector inverse = 1.0f / total, mean = sum * inverse;
        for (int64_t s = begin; s < end; ++s) {
            const Vector probability = load(mine + s * LANES) * inverse;
            store(mine + s * LANES, probability);
            store(gradient + s * LANES, probability * (load(gradient + s * LANES) - mean));
        }
        for (int64_t s = -PAD; s < begin; ++s) store(mine + s * LANES, Vector{}), store(gradient + s * LANES, Vector{});
        for (int64_t s = end; s < count + PAD; ++s) store(mine + s * LANES, Vector{}), store(gradient + s * LANES, Vector{});
    }
    int64_t d = 0;
    for (; d + GRADIENTS <= a.key_depth; d += GRADIENTS) query_gradients<T, GRADIENTS>(w, g, p, d, first, count, stride);
    for (; d < a.key_depth; ++d) query_gradients<T, 1>(w, g, p, d, first, count, stride);
    const int64_t keys = a.key_depth * LANES, values = a.value_depth * LANES, row = w.far + first - p - (T - 1);  // row of the smallest distance
    if (a.content_scale != nullptr) accumulate_all<T>(g.ds, stride, false, g.aq + p * keys, a.key_depth, count, g.dk + first * keys);
    if (w.query.rows != nullptr) accumulate_all<T>(g.ds, stride, true, g.bq + p * keys, a.key_depth, count, sums.query + row * keys);
    if (w.key.rows != nullptr) {
        const float* table = w.key.rows + (w.far + first - p) * a.key_depth;
        accumulate_table<T>(g.ds, stride, table, a.key_depth, count, g.dk_position + first * keys);
        const float* key = g.ck + (first - (T - 1)) * keys;
        accumulate_keys<T>(g.ds - (T - 1) * LANES, stride + LANES, key, a.key_depth, count + T - 1, sums.key + row * keys);
    }
    if (a.content_value) accumulate_all<T>(g.p, stride, false, g.content + p * values, a.value_depth, count, g.dv + first * values);
    if (w.value.rows != nullptr) accumulate_all<T>(g.p, stride, true, g.position + p * values, a.value_depth, count, sums.value + row * values);
}

INLINE void spill_rows(const AxialForward& a, const Run* run, int count, const float* from, int64_t depth, float* to) {
    for (int r = 0; r < count; ++r) {
        float* x = to + run[r].line / a.others * a.x_batch + run[r].line % a.others * a.x_other;
        for (int64_t p = 0; p < a.length; ++p, x += a.x_position) {
            for (int64_t d = 0; d < depth; ++d) scatter(from + (p * depth + d) * LANES, run[r], x + d * a.heads, 1);
        }
    }
}

inline bool group_gradients(const Backward& w, Sums& sums, int64_t first) {
    static thread_local Scratch scratch;
    const AxialForward& a = w.b->forward;
    const int64_t lanes = least(LANES, a.batch * a.others * a.heads - first), key_channels = a.heads * a.key_depth;
    const int64_t keys = a.length * a.key_depth * LANES, values = a.length * a.value_depth * LANES, pad = PAD * a.key_depth * LANES;
    const int64_t stride = (least(a.length, 2 * a.reach + QUERIES) + 2 * PAD) * LANES;
    const int64_t total = 8 * keys + 2 * pad + 4 * values + a.length * LANES + 2 * QUERIES * stride;
    float* next = scratch.floats(total);
    if (next == nullptr) return false;
    memset(next, 0, sizeof(float) * total);
    const auto take = [&next](int64_t floats) { return (next += floats) - floats; };
    Gradients g{};
    g.q = take(keys), g.aq = take(keys), g.bq = take(keys), g.k = take(keys), g.dq = take(keys), g.dk = take(keys), g.dk_position = take(keys);
    g.ck = take(keys + 2 * pad) + pad;
    g.v = take(values), g.content = take(values), g.position = take(values), g.dv = take(values), g.normaliser = take(a.length * LANES);
    g.p = take(QUERIES * stride) + PAD * LANES, g.ds = take(QUERIES * stride) + PAD * LANES;
    g.runs = runs(first, lanes, a.heads, g.run);
    const auto fetch_x = [&](int64_t channel, int64_t depth, float* to) {
        fetch_rows(a, g.run, g.runs, a.x + channel, a.x_batch, a.x_other, a.x_position, depth, to);
    };
    const auto fetch_out = [&](const float* from, float* to) {
        if (from != nullptr) fetch_rows(a, g.run, g.runs, from, a.out_batch, a.out_other, a.out_position, a.value_depth, to);
    };
    const auto factor = [&](const float* scale) {
        float spread_[LANES];
        if (scale == nullptr) return Vector{};
        spread(scale, first, a.heads, 1, 1.0f, spread_);
        return load(spread_);
    };
    const bool content = a.content_scale != nullptr, query = w.query.rows != nullptr, key = w.key.rows != nullptr;
    g.a = factor(a.content_scale), g.b = factor(query ? a.query_scale : nullptr), g.c = factor(key ? a.key_scale : nullptr);
    fetch_x(0, a.key_depth, g.q), fetch_x(key_channels, a.key_depth, g.k);
    if (a.content_value) fetch_x(2 * key_channels, a.value_depth, g.v), fetch_out(w.b->grad_content, g.content);
    fetch_out(w.b->grad_position, g.position);
    const int64_t a_line = a.length * a.heads;
    fetch_rows(a, g.run, g.runs, a.normaliser, a_line * a.others, a_line, a.heads, 1, g.normaliser);
    const int64_t vectors = a.length * a.key_depth;
    scaled(g.q, vectors, g.a, g.aq), scaled(g.q, vectors, g.b, g.bq), scaled(g.k, vectors, g.c, g.ck);
    const Similarity x{content ? g.aq : nullptr, g.k, query ? g.bq : nullptr, w.query.rows, key ? g.ck : nullptr, w.key.rows, a.key_depth, w.far};
    const Similarity dx{a.content_value ? g.content : nullptr, g.v, w.value.rows ? g.position : nullptr, w.value.rows, nullptr, nullptr,
                        a.value_depth, w.far};
    int64_t p = 0;
    for (; p + QUERIES <= a.length; p += QUERIES) query_tile<QUERIES>(w, g, sums, x, dx, p, stride);
    const int64_t rest = a.length - p;
    if (rest == 3) query_tile<3>(w, g, sums, x, dx, p, stride);
    if (rest == 2) query_tile<2>(w, g, sums, x, dx, p, stride);
    if (rest == 1) query_tile<1>(w, g, sums, x, dx, p, stride);
    for (int64_t i = 0; i < keys; i += LANES) {
        const Vector position = load(g.dk_position + i);
        g.dc += load(g.k + i) * position;
        store(g.dk + i, load(g.dk + i) + g.c * position);
    }
    spill_rows(a, g.run, g.runs, g.dq, a.key_depth, w.b->grad_x);
    spill_rows(a, g.run, g.runs, g.dk, a.key_depth, w.b->grad_x + key_channels);
    spill_rows(a, g.run, g.runs, g.dv, a.value_depth, w.b->grad_x + 2 * key_channels);
    for (int64_t l = 0; l < lanes; ++l) {
        double* scales = sums.scales + (first + l) % a.heads;
        scales[0] += g.da[l], scales[a.heads] += g.db[l], scales[2 * a.heads] += g.dc[l];
    }
    return true;
}

// Adds the lanes' sums of a table's gradient, (2 far + 1, depth, LANES), to the rows of the caller's table, and resets them to zero.
inline void flush(const Table& table, int64_t reach, float* from, double* to) {
    if (table.rows == nullptr) return;
    const int64_t both = least(reach, table.far), count = (2 * both + 1) * table.depth;
    const float* x = from + (table.far - both) * table.depth * LANES;
    to += (reach - both) * table.depth;
    for (int64_t i = 0; i < count; ++i, x += LANES) {
        double sum = 0;
        for (int l = 0; l < LANES; ++l) sum += x[l];
        to[i] += sum;
    }
    memset(from, 0, sizeof(float) * table_floats(table.far, table.depth) * LANES);
}

inline void gradient_piece(void* data, int64_t index) {
    static thread_local Scratch scratch;
    Backward& w = *static_cast<Backward*>(data);
    const AxialForward& a = w.b->forward;
    const int64_t keys = table_floats(w.far, a.key_depth) * LANES, values = table_floats(w.far, a.value_depth) * LANES;
    const int64_t groups = divide_up(a.batch * a.others * a.heads, LANES), rows = 2 * a.table_reach + 1;
    float* tables = scratch.floats(2 * keys + values);
    if (tables == nullptr) {
        w.failed = true;
        return;
    }
    memset(tables, 0, sizeof(float) * (2 * keys + values));
    double* sum = w.sums + index * w.doubles;
    Sums sums{tables, tables + keys, tables + 2 * keys, sum, sum + rows * a.key_depth, sum + 2 * rows * a.key_depth,
              sum + rows * (2 * a.key_depth + a.value_depth)};
    for (int64_t group = index * w.groups_a_piece; group < least(groups, (index + 1) * w.groups_a_piece); ++group) {
        if (!group_gradients(w, sums, group * LANES)) w.failed = true;
    }
    flush(w.query, a.table_reach, sums.query, sums.query_sum);
    flush(w.key, a.table_reach, sums.key, sums.key_sum);
    flush(w.value, a.table_reach, sums.value, sums.value_sum);
}

inline int backward(const AxialBackward* b, int threads, AxialParallel parallel) {
    static thread_local Scratch scratch;
    const AxialForward& a = b->forward;
    const int64_t groups = divide_up(a.batch * a.others * a.heads, LANES), rows = 2 * a.table_reach + 1;
    const int64_t far = least(a.length - 1, a.reach + QUERIES) + PAD, key_floats = table_floats(far, a.key_depth);
    const int64_t key_rows = rows * a.key_depth, value_rows = rows * a.value_depth;
    float* tables = scratch.floats(2 * key_floats + table_floats(far, a.value_depth));
    // pieces do not depend on the number of threads, so neither does the order of summation
    Backward w{b, {}, {}, {}, far, 0, most(1, divide_up(groups, 32)), 2 * key_rows + value_rows + 3 * a.heads, nullptr, false};
    w.pieces = divide_up(groups, w.groups_a_piece);
    w.sums = static_cast<double*>(calloc(static_cast<size_t>(most(1, w.pieces) * w.doubles), sizeof(double)));
    if (tables == nullptr || w.sums == nullptr) {
        free(w.sums);
        return 1;
    }
    w.query = widen(a.query_table, a.table_reach, a.key_depth, far, tables);
    w.key = widen(a.key_table, a.table_reach, a.key_depth, far, tables + key_floats);
    w.value = widen(a.value_table, a.table_reach, a.value_depth, far, tables + 2 * key_floats);
    if (a.length > 0) in_parallel(gradient_piece, &w, w.pieces, threads, parallel);
    for (int64_t piece = 1; piece < w.pieces; ++piece) {
        for (int64_t i = 0; i < w.doubles; ++i) w.sums[i] += w.sums[piece * w.doubles + i];
    }
    const auto give = [&](int64_t from, int64_t count, float* to) {
        for (int64_t i = 0; to != nullptr && i < count; ++i) to[i] = static_cast<float>(w.sums[from + i]);
    };
    give(0, key_rows, b->grad_query_table), give(key_rows, key_rows, b->grad_key_table);
    give(2 * key_rows, value_rows, b->grad_value_table), give(2 * key_rows + value_rows, 3 * a.heads, b->grad_scales);
    free(w.sums);
    return w.failed ? 1 : 0;
}

}  // namespace
#endif

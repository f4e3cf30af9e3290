// Attention along the lines of a map, in groups of LANES (line, head) lanes, tile by tile. Logits never leave the cache.
#ifndef AXIAL_FORWARD_H
#define AXIAL_FORWARD_H

#include "linear.h"
#include "pack.h"
#include "threads.h"
#include "tile.h"

namespace {

// A table from distance -far to far, padded with zeros, because tiles at an edge read distances that no query reaches.
struct Table {
    const float* rows = nullptr;
    int64_t depth = 0, far = 0;
};

INLINE int64_t table_floats(int64_t far, int64_t depth) { return (2 * far + 1) * depth; }

inline Table widen(const float* table, int64_t reach, int64_t depth, int64_t far, float* to) {
    if (table == nullptr) return Table{};
    memset(to, 0, sizeof(float) * table_floats(far, depth));
    const int64_t both = least(reach, far);
    memcpy(to + (far - both) * depth, table + (reach - both) * depth, sizeof(float) * table_floats(both, depth));
    return Table{to, depth, far};
}

struct Forward {
    const AxialForward* a;
    Table query, key, value;
    int64_t lines;  // number of lines in a piece of work
    bool failed;
};

// Vectors of one group, one lane for each (line, head).
struct Group {
    Run run[LANES];
    int runs;
    const float* base[LANES];  // the line's first row of projected channels
    int64_t step;              // from one position to the next
    float *out[LANES], *positions[LANES], *normaliser[LANES];
    float *q, *q_position, *k, *k_position, *v, *scale, *shift, *probabilities, *result;
};

// Copies the group's channels from `channel` on to (L, depth, LANES).
INLINE void fetch(const AxialForward& a, const Group& g, int64_t channel, int64_t depth, float* to) {
    for (int r = 0; r < g.runs; ++r) {
        const Run& run = g.run[r];
        const float* from = g.base[r] + channel + run.head;
        float* lane = to + run.lane;
        for (int64_t p = 0; p < a.length; ++p, from += g.step, lane += depth * LANES) gather(from, a.heads, depth, run.count, lane);
    }
}

// to = from * factor, lane by lane; `to` may be `from`.
INLINE void scaled(const float* from, int64_t vectors, Vector factor, float* to) {
    for (int64_t i = 0; i < vectors; ++i) store(to + i * LANES, load(from + i * LANES) * factor);
}

template <int T>
INLINE void write(const AxialForward& a, const Group& g, int64_t p, int64_t d, float* const* base, const Vector* sum, int64_t step, int depths) {
    float lanes[LANES] __attribute__((aligned(64)));
    for (int i = 0; i < T; ++i) {
        for (int j = 0; j < depths; ++j) {
            store(lanes, sum[i * step + j]);
            for (int r = 0; r < g.runs; ++r) scatter(lanes, g.run[r], base[r] + (p + i) * a.out_position + (d + j) * a.out_depth, a.out_head);
        }
    }
}

// Computes the result of T queries from p on, depths d to d + D, over `count` keys from `first` on.
template <int T, int D>
INLINE void values(const Forward& f, const Group& g, int64_t p, int64_t d, int64_t first, int64_t count, int64_t stride, const Vector* inverse) {
    const AxialForward& a = *f.a;
    Vector sum[T][D];
    UNROLL for (int i = 0; i < T; ++i) UNROLL for (int j = 0; j < D; ++j) sum[i][j] = Vector{};
    if (f.value.rows != nullptr) {
        const int64_t nearest = first - p - (T - 1);  // the smallest distance, that of the last query
        const float* table = f.value.rows + (f.value.far + nearest) * a.value_depth + d;
        retrieve_positions<T, D>(g.probabilities - (T - 1) * LANES, stride, table, a.value_depth, count + T - 1, sum);
        if (g.positions[0] != nullptr) {
            UNROLL for (int i = 0; i < T; ++i) UNROLL for (int j = 0; j < D; ++j) sum[i][j] *= inverse[i];
            write<T>(a, g, p, d, g.positions, &sum[0][0], D, D);
            UNROLL for (int i = 0; i < T; ++i) UNROLL for (int j = 0; j < D; ++j) sum[i][j] = Vector{};
        } else if (g.scale != nullptr) {
            UNROLL for (int i = 0; i < T; ++i) UNROLL for (int j = 0; j < D; ++j) sum[i][j] *= load(g.scale + (d + j) * LANES);
        }
    }
    if (!a.content_value && g.positions[0] != nullptr) return;
    if (a.content_value) {
        const int64_t row = a.value_depth * LANES;
        retrieve<T, D>(g.probabilities, stride, g.v + first * row + d * LANES, row, count, sum);
    }
    UNROLL for (int i = 0; i < T; ++i) UNROLL for (int j = 0; j < D; ++j) {
        sum[i][j] *= inverse[i];
        if (g.shift != nullptr) sum[i][j] += load(g.shift + (d + j) * LANES);
        if (a.relu) sum[i][j] = sum[i][j] < 0.0f ? Vector{} : sum[i][j];
    }
    write<T>(a, g, p, d, g.out, &sum[0][0], D, D);
}

template <int T>
inline void queries(const Forward& f, const Group& g, const Similarity& x, int64_t p, int64_t stride) {
    const AxialForward& a = *f.a;
    const int64_t first = most(0, p - a.reach), last = least(a.length, p + T + a.reach), count = last - first;
    float* row = g.probabilities;
    all_logits<T>(x, p, first, last, row, stride);
    Vector inverse[T];
    for (int i = 0; i < T; ++i) {
        float* mine = row + i * stride;
        const int64_t begin = most(first, p + i - a.reach) - first, end = least(last, p + i + a.reach + 1) - first;
        Vector largest;
        const Vector sum = softmax(mine + begin * LANES, end - begin, &largest);
        inverse[i] = 1.0f / sum;
        for (int64_t s = -PAD; s < begin; ++s) store(mine + s * LANES, Vector{});
        for (int64_t s = end; s < count + PAD; ++s) store(mine + s * LANES, Vector{});
        if (g.normaliser[0] != nullptr) {
            float lanes[LANES];
            Vector total = largest;
            for (int l = 0; l < LANES; ++l) total[l] += __builtin_log2f(sum[l]);
            store(lanes, total);
            for (int r = 0; r < g.runs; ++r) scatter(lanes, g.run[r], g.normaliser[r] + (p + i) * a.heads, 1);
        }
    }
    int64_t d = 0;
    for (; d + DEPTHS <= a.value_depth; d += DEPTHS) values<T, DEPTHS>(f, g, p, d, first, count, stride, inverse);
    const int64_t more = a.value_depth - d;
    if (DEPTHS > 3 && more == 3) values<T, 3>(f, g, p, d, first, count, stride, inverse);
    if (DEPTHS > 2 && more == 2) values<T, 2>(f, g, p, d, first, count, stride, inverse);
    if (more == 1) values<T, 1>(f, g, p, d, first, count, stride, inverse);
}

// Attends for lanes from `first` on. `projected` (or null) holds the projected rows of lines from `origin` on.
inline void attend_group(Forward& f, int64_t first, int64_t lanes, const float* projected, int64_t origin, int64_t projected_row) {
    static thread_local Scratch scratch;
    const AxialForward& a = *f.a;
    const int64_t keys = a.length * a.key_depth * LANES, values = a.length * a.value_depth * LANES, depths = a.value_depth * LANES;
    const int64_t stride = (least(a.length, 2 * a.reach + QUERIES) + 2 * PAD) * LANES;
    float* next = scratch.floats(4 * keys + values + 2 * depths + QUERIES * stride);
    if (next == nullptr) {
        f.failed = true;
        return;
    }
    const auto take = [&next](int64_t floats) { return (next += floats) - floats; };
    Group g{};
    g.q = take(keys), g.q_position = take(keys), g.k = take(keys), g.k_position = take(keys), g.v = take(values);
    g.probabilities = next + 2 * depths + PAD * LANES;
    if (lanes < LANES) memset(g.q, 0, sizeof(float) * (4 * keys + values));
    g.runs = runs(first, lanes, a.heads, g.run);
    g.step = projected != nullptr ? projected_row : a.x_position;
    for (int r = 0; r < g.runs; ++r) {
        const int64_t line = g.run[r].line, n = line / a.others, o = line % a.others, out = n * a.out_batch + o * a.out_other;
        g.base[r] = projected != nullptr ? projected + (line - origin) * a.length * projected_row : a.x + n * a.x_batch + o * a.x_other;
        g.out[r] = a.out + out;
        g.positions[r] = a.out_position_term == nullptr ? nullptr : a.out_position_term + out;
        g.normaliser[r] = a.normaliser == nullptr ? nullptr : a.normaliser + line * a.length * a.heads;
    }
    const int64_t key_channels = a.heads * a.key_depth, vectors = a.length * a.key_depth;
    const auto factor = [&](const float* scale, float times) {
        float spread_[LANES];
        spread(scale, first, a.heads, 1, times, spread_);
        return load(spread_);
    };
    const bool content = a.content_scale != nullptr, query = f.query.rows != nullptr, key = f.key.rows != nullptr;
    if (content || query) fetch(a, g, 0, a.key_depth, g.q);
    if (query) scaled(g.q, vectors, factor(a.query_scale, LOG2E), g.q_position);
    if (content) scaled(g.q, vectors, factor(a.content_scale, LOG2E), g.q);
    if (content || key) fetch(a, g, key_channels, a.key_depth, g.k);
    if (key) scaled(g.k, vectors, factor(a.key_scale, LOG2E), g.k_position);
    if (a.content_value) fetch(a, g, 2 * key_channels, a.value_depth, g.v);
    if (a.position_scale != nullptr) spread(a.position_scale, first, a.heads, a.value_depth, 1.0f, g.scale = take(depths));
    if (a.shift != nullptr) spread(a.shift, first, a.heads, a.value_depth, 1.0f, g.shift = take(depths));
    const Similarity x{content ? g.q : nullptr, g.k, query ? g.q_position : nullptr, f.query.rows, key ? g.k_position : nullptr, f.key.rows,
                       a.key_depth, most(f.query.far, f.key.far)};
    int64_t p = 0;
    for (; p + QUERIES <= a.length; p += QUERIES) queries<QUERIES>(f, g, x, p, stride);
    const int64_t rest = a.length - p;
    if (rest == 3) queries<3>(f, g, x, p, stride);
    if (rest == 2) queries<2>(f, g, x, p, stride);
    if (rest == 1) queries<1>(f, g, x, p, stride);
}

// Computes a few lines: projects them into this thread's own memory if there is a weight, then attends group by group.
inline void attend_lines(void* data, int64_t index) {
    static thread_local Scratch scratch;
    Forward& f = *static_cast<Forward*>(data);
    const AxialForward& a = *f.a;
    const int64_t begin = index * f.lines, end = least(a.batch * a.others, begin + f.lines);
    const int64_t outputs = 2 * a.heads * a.key_depth + a.heads * a.value_depth, row = divide_up(outputs, WIDTH) * WIDTH;
    float* projected = nullptr;
    if (a.weight != nullptr) {
        projected = scratch.floats((end - begin) * a.length * row);
        if (projected == nullptr) {
            f.failed = true;
            return;
        }
        const Product product{a.inputs, row, row, a.weight, a.bias, nullptr, projected, false};
        const int64_t count = (end - begin) * a.length;
        for (int64_t first = 0; first < count; first += BLOCK) {
            const float* rows[BLOCK];
            const int64_t last = least(count, first + BLOCK);
            for (int64_t i = first; i < last; ++i) {
                const int64_t line = begin + i / a.length;
                rows[i - first] = a.x + line / a.others * a.x_batch + line % a.others * a.x_other + i % a.length * a.x_position;
            }
            multiply(product, rows, first, last, 0, row);
        }
    }
    for (int64_t lane = begin * a.heads; lane < end * a.heads; lane += LANES) {
        attend_group(f, lane, least(LANES, end * a.heads - lane), projected, begin, row);
    }
}

// Returns the number of lines in a piece of work: whole groups, enough rows per read of the weight, and pieces for all threads.
inline int64_t lines_at_once(const AxialForward& a, int threads) {
    int64_t whole = 1;
    while (whole * a.heads % LANES != 0) ++whole;  // at most LANES
    if (a.weight == nullptr) return whole;
    const int64_t wanted = divide_up(BLOCK, whole * a.length), pieces = divide_up(a.batch * a.others, whole);
    return whole * most(1, threads > 1 ? least(wanted, pieces / (2 * threads)) : wanted);
}

inline int forward(const AxialForward* a, int threads, AxialParallel parallel) {
    static thread_local Scratch scratch;
    if (a->batch * a->others == 0 || a->length == 0) return 0;
    const int64_t far = least(a->length - 1, a->reach + QUERIES) + PAD;  // the largest distance that a tile reads
    const int64_t keys = table_floats(far, a->key_depth), values = table_floats(far, a->value_depth);
    float* tables = scratch.floats(2 * keys + values);
    if (tables == nullptr) return 1;
    Forward f{a, widen(a->query_table, a->table_reach, a->key_depth, far, tables),
              widen(a->key_table, a->table_reach, a->key_depth, far, tables + keys),
              widen(a->value_table, a->table_reach, a->value_depth, far, tables + 2 * keys), lines_at_once(*a, threads), false};
    in_parallel(attend_lines, &f, divide_up(a->batch * a->others, f.lines), threads, parallel);
    return f.failed ? 1 : 0;
}

}  // namespace
#endif

// Attention of the positions of a map to those of another, over both axes: the whole map, surroundings, windows, and tokens.
#ifndef AXIAL_ATTENTION2D_H
#define AXIAL_ATTENTION2D_H

#include "activation.h"
#include "threads.h"

namespace {

constexpr int TILE2D = LANES >= 8 ? 8 : 4;  // queries that share each load of a key or a value
constexpr int64_t QUERIES2D = 32;           // queries of a line in a piece of work
constexpr int64_t VALUES2D = 128;             // values that are summed before they are added to the total
constexpr float MASKED = -1e30f;

struct Attention2D {
    const AxialStep* a;
    int64_t n;                         // image
    int64_t key_row, value_row;        // floats of a line of packed keys at one depth, and of a packed value
    int64_t far, table;                // place of distance 0 in a packed table of columns, and floats of one depth of it
    float *keys, *values;              // (G, lines, Dk, key_row), (G, positions, value_row)
    float *query_columns, *key_columns;  // tables of columns, transposed: (Dk / 2, table); those of keys scaled for each head
    bool failed;
};

// Keys of a query along one axis: from `begin` to `end`.
struct Range {
    int64_t begin, end;
};

INLINE Range range_of(const AxialAxis& axis, int64_t position, int64_t length) {
    Range range{most(0, position - axis.reach), least(length, position + axis.reach + 1)};
    if (axis.window > 0) {
        const int64_t first = (position + axis.offset) / axis.window * axis.window - axis.offset;
        range = Range{most(range.begin, first), least(range.end, first + axis.window)};
    }
    return range;
}

// Packs the keys and values of a head, with zeros where lanes read beyond the map.
inline void pack_head(void* data, int64_t g) {
    const Attention2D& f = *static_cast<const Attention2D*>(data);
    const AxialStep& a = *f.a;
    const AxialAttention2D& s = *a.attention2d;
    float *keys = f.keys + g * s.key_height * s.key_depth * f.key_row, *values = f.values + g * s.key_height * s.key_width * f.value_row;
    memset(keys, 0, sizeof(float) * static_cast<size_t>(s.key_height * s.key_depth * f.key_row));
    memset(values, 0, sizeof(float) * static_cast<size_t>(s.key_height * s.key_width * f.value_row));
    for (int64_t h = 0; h < s.key_height; ++h, keys += s.key_depth * f.key_row) {
        for (int64_t w = 0; w < s.key_width; ++w, values += f.value_row) {
            const float* from = at(a.factor, f.n, h, w);
            for (int64_t d = 0; d < s.key_depth; ++d) keys[d * f.key_row + w] = from[g * s.key_depth + d];
            memcpy(values, from + s.heads * s.key_depth + g * s.value_depth, sizeof(float) * static_cast<size_t>(s.value_depth));
        }
    }
    if (s.columns.key_table == nullptr) return;
    const int64_t half = s.key_depth / 2, both = least(f.far, s.columns.table_reach);
    float* table = f.key_columns + g * half * f.table;
    memset(table, 0, sizeof(float) * static_cast<size_t>(half * f.table));
    for (int64_t i = -both; i <= both; ++i) {
        const float* row = s.columns.key_table + (i + s.columns.table_reach) * half;
        for (int64_t d = 0; d < half; ++d) table[d * f.table + f.far + i] = s.key_scale[g] * LOG2E * row[d];
    }
}

// Memory of a tile of queries.
struct Tile2D {
    float *content, *rows, *query, *columns;  // (Q, Dk) scaled, (Q, Dk / 2) with the key term of a line, (Q, Dk), (Q, width)
    float *p, *result, *of_columns;           // (Q, lines, width), (Q, value_row), (width)
    int64_t width;
};

// Sets `logits` of a tile for one line of keys.
template <int Q>
INLINE void line_logits(const Attention2D& f, const Tile2D& t, int64_t g, int64_t h, int64_t w, int64_t line, int64_t first, int64_t stride,
                        float* to) {
    const AxialAttention2D& s = *f.a->attention2d;
    const int64_t half = s.key_depth / 2, depth = s.key_depth;
    const bool query = s.lines.query_table != nullptr, key = s.lines.key_table != nullptr;
    const float* keys = f.keys + (g * s.key_height + line) * depth * f.key_row + first;
    const int64_t place = (line - h + s.lines.table_reach) * half;
    const float *query_row = query ? s.lines.query_table + place : nullptr, *key_row = key ? s.lines.key_table + place : nullptr;
    float of_line[Q];
    for (int i = 0; i < Q; ++i) {
        of_line[i] = 0.0f;
        for (int64_t d = 0; query && d < half; ++d) of_line[i] += t.query[i * depth + d] * query_row[d];
        for (int64_t d = 0; d < half; ++d) t.rows[i * half + d] = t.content[i * depth + d] + (key ? s.key_scale[g] * LOG2E * key_row[d] : 0.0f);
    }
    for (int64_t c = 0; c < t.width; c += LANES) {
        Vector sum[Q];
        UNROLL for (int i = 0; i < Q; ++i) sum[i] = query ? load(t.columns + i * t.width + c) + of_line[i] : Vector{};
        if (key || s.content_scale != nullptr) {
            for (int64_t d = 0; d < half; ++d) {
                const Vector x = load(keys + d * f.key_row + c);
                UNROLL for (int i = 0; i < Q; ++i) sum[i] += t.rows[i * half + d] * x;
            }
            for (int64_t d = half; d < depth; ++d) {
                const Vector x = load(keys + d * f.key_row + c);
                if (key) {
                    const float* table = f.key_columns + (g * half + d - half) * f.table + f.far + first + c - w;
                    UNROLL for (int i = 0; i < Q; ++i) sum[i] += (load(table - i) + t.content[i * depth + d]) * x;
                } else {
                    UNROLL for (int i = 0; i < Q; ++i) sum[i] += t.content[i * depth + d] * x;
                }
            }
        }
        UNROLL for (int i = 0; i < Q; ++i) store(to + i * stride + c, sum[i]);
    }
}

// Sums probabilities times values of J vectors of channels from j on: result (Q, value_row).
template <int Q, int J>
INLINE void weighted_values(const Attention2D& f, const Tile2D& t, int64_t g, Range lines, Range columns, int64_t stride, int64_t j) {
    const AxialAttention2D& s = *f.a->attention2d;
    Vector total[Q][J];
    UNROLL for (int i = 0; i < Q; ++i) UNROLL for (int k = 0; k < J; ++k) total[i][k] = Vector{};
    for (int64_t line = lines.begin; line < lines.end; ++line) {
        const float* p = t.p + (line - lines.begin) * t.width;
        const float* values = f.values + ((g * s.key_height + line) * s.key_width + columns.begin) * f.value_row + j;
        for (int64_t from = 0; from < columns.end - columns.begin; from += VALUES2D) {
            Vector sum[Q][J];
            UNROLL for (int i = 0; i < Q; ++i) UNROLL for (int k = 0; k < J; ++k) sum[i][k] = Vector{};
            for (int64_t c = from; c < least(columns.end - columns.begin, from + VALUES2D); ++c) {
                Vector x[J];
                UNROLL for (int k = 0; k < J; ++k) x[k] = load(values + c * f.value_row + k * LANES);
                UNROLL for (int i = 0; i < Q; ++i) UNROLL for (int k = 0; k < J; ++k) sum[i][k] += p[i * stride + c] * x[k];
            }
            UNROLL for (int i = 0; i < Q; ++i) UNROLL for (int k = 0; k < J; ++k) total[i][k] += sum[i][k];
        }
    }
    UNROLL for (int i = 0; i < Q; ++i) UNROLL for (int k = 0; k < J; ++k) store(t.result + i * f.value_row + j + k * LANES, total[i][k]);
}

// Adds the positions that one query retrieves: those of lines to the first half of a head's channels, those of columns to the other.
INLINE void add_positions(const Attention2D& f, const Tile2D& t, int64_t g, int64_t h, int64_t w, Range lines, Range own, int64_t first,
                          const float* p, float* result) {
    const AxialAttention2D& s = *f.a->attention2d;
    const int64_t half = s.value_depth / 2;
    const float* scale = s.position_scale + g * s.value_depth;
    for (int64_t c = own.begin; c < own.end; ++c) t.of_columns[c - first] = 0.0f;
    for (int64_t line = lines.begin; line < lines.end; ++line, p += t.width) {
        float sum = 0.0f;
        for (int64_t c = own.begin; c < own.end; ++c) {
            sum += p[c - first];
            t.of_columns[c - first] += p[c - first];
        }
        const float* row = s.lines.value_table + (line - h + s.lines.table_reach) * half;
        for (int64_t d = 0; d < half; ++d) result[d] += scale[d] * sum * row[d];
    }
    for (int64_t c = own.begin; c < own.end; ++c) {
        const float* row = s.columns.value_table + (c - w + s.columns.table_reach) * half;
        for (int64_t d = 0; d < half; ++d) result[half + d] += scale[half + d] * t.of_columns[c - first] * row[d];
    }
}

// Attends for Q queries from (h, w) on.
template <int Q>
inline void attend2d(const Attention2D& f, const Tile2D& memory, int64_t g, int64_t h, int64_t w) {
    const AxialStep& a = *f.a;
    const AxialAttention2D& s = *a.attention2d;
    const int64_t depth = s.key_depth, half = depth / 2;
    const Range lines = range_of(s.lines, h, s.key_height);
    Range own[Q], columns{s.key_width, 0};
    for (int i = 0; i < Q; ++i) {
        own[i] = range_of(s.columns, w + i, s.key_width);
        columns = Range{least(columns.begin, own[i].begin), most(columns.end, own[i].end)};
    }
    const int64_t first = columns.begin;
    Tile2D t = memory;
    t.width = divide_up(columns.end - first, LANES) * LANES;
    const int64_t stride = (lines.end - lines.begin) * t.width;
    for (int i = 0; i < Q; ++i) {
        const float* q = at(a.x, f.n, h, w + i) + g * depth;
        for (int64_t d = 0; d < depth; ++d) {
            t.content[i * depth + d] = s.content_scale == nullptr ? 0.0f : s.content_scale[g] * LOG2E * q[d];
            t.query[i * depth + d] = s.lines.query_table == nullptr ? 0.0f : s.query_scale[g] * LOG2E * q[d];
        }
        for (int64_t c = 0; s.columns.query_table != nullptr && c < t.width; c += LANES) {
            Vector sum{};
            for (int64_t d = 0; d < half; ++d) sum += t.query[i * depth + half + d] * load(f.query_columns + d * f.table + f.far + first + c - w - i);
            store(t.columns + i * t.width + c, sum);
        }
    }
    const auto fill = [&](int i, float value) {  // where a query sees no key
        for (float* p = t.p + i * stride; p < t.p + (i + 1) * stride; p += t.width) {
            for (int64_t c = 0; c < own[i].begin - first; ++c) p[c] = value;
            for (int64_t c = own[i].end - first; c < t.width; ++c) p[c] = value;
        }
    };
    for (int64_t line = lines.begin; line < lines.end; ++line) {
        line_logits<Q>(f, t, g, h, w, line, first, stride, t.p + (line - lines.begin) * t.width);
    }
    float inverse[Q];
    for (int i = 0; i < Q; ++i) {
        float* p = t.p + i * stride;
        fill(i, MASKED);
        Vector largest = load(p), sum{};
        for (int64_t c = LANES; c < stride; c += LANES) {
            const Vector x = load(p + c);
            largest = x > largest ? x : largest;
        }
        float top = largest[0];
        for (int l = 1; l < LANES; ++l) top = largest[l] > top ? largest[l] : top;
        for (int64_t c = 0; c < stride; c += LANES) {
            const Vector x = exp2(load(p + c) - top);
            store(p + c, x);
            sum += x;
        }
        float total = 0.0f;
        for (int l = 0; l < LANES; ++l) total += sum[l];
        inverse[i] = 1.0f / total;
        fill(i, 0.0f);
    }
    if (s.content_value) {
        int64_t j = 0;
        for (; j + 2 * LANES <= f.value_row; j += 2 * LANES) weighted_values<Q, 2>(f, t, g, lines, columns, stride, j);
        if (j < f.value_row) weighted_values<Q, 1>(f, t, g, lines, columns, stride, j);
    } else {
        memset(t.result, 0, sizeof(float) * static_cast<size_t>(Q * f.value_row));
    }
    for (int i = 0; i < Q; ++i) {
        float* result = t.result + i * f.value_row;
        if (s.value_scale != nullptr) {
            for (int64_t d = 0; d < s.value_depth; ++d) result[d] *= s.value_scale[g * s.value_depth + d];
        }
        if (s.lines.value_table != nullptr) add_positions(f, t, g, h, w + i, lines, own[i], first, t.p + i * stride, result);
        float* y = at(a.y, f.n, h, w + i) + g * s.value_depth;
        const float* residual = a.residual.data == nullptr ? nullptr : at(a.residual, f.n, h, w + i) + g * s.value_depth;
        for (int64_t d = 0; d < s.value_depth; d += LANES) {
            const int64_t count = least(LANES, s.value_depth - d);
            Vector x = load(result + d) * inverse[i];
            if (s.shift != nullptr) x += load_some(s.shift + g * s.value_depth + d, count);
            finish(a, x, residual == nullptr ? nullptr : residual + d, y + d, count);
        }
    }
}

inline void attention2d_piece(void* data, int64_t index) {
    static thread_local Scratch scratch;
    Attention2D& f = *static_cast<Attention2D*>(data);
    const AxialStep& a = *f.a;
    const AxialAttention2D& s = *a.attention2d;
    const int64_t runs = divide_up(a.width, QUERIES2D), g = index / (a.height * runs), h = index / runs % a.height, begin = index % runs * QUERIES2D;
    const int64_t row = f.key_row, lines = least(s.key_height, 2 * least(s.lines.reach, s.key_height) + 1);
    float* next = scratch.floats(TILE2D * (3 * s.key_depth + row + f.value_row + lines * row) + row);
    if (next == nullptr) {
        f.failed = true;
        return;
    }
    const auto take = [&next](int64_t floats) { return (next += floats) - floats; };
    Tile2D t{};
    t.p = take(TILE2D * lines * row), t.columns = take(TILE2D * row), t.of_columns = take(row), t.result = take(TILE2D * f.value_row);
    t.content = take(TILE2D * s.key_depth), t.query = take(TILE2D * s.key_depth), t.rows = take(TILE2D * s.key_depth);
    int64_t w = begin;
    const int64_t end = least(a.width, begin + QUERIES2D);
    for (; w + TILE2D <= end; w += TILE2D) attend2d<TILE2D>(f, t, g, h, w);
    for (; w + 2 <= end; w += 2) attend2d<2>(f, t, g, h, w);
    if (w < end) attend2d<1>(f, t, g, h, w);
}

inline int attention2d(const AxialStep* a, int threads, AxialParallel parallel) {
    static thread_local Scratch scratch;
    const AxialAttention2D& s = *a->attention2d;
    Attention2D f{};
    f.a = a;
    f.key_row = divide_up(s.key_width, LANES) * LANES + LANES, f.value_row = divide_up(s.value_depth, LANES) * LANES;
    f.far = s.key_width + 2 * LANES, f.table = 2 * f.far + 1;
    const int64_t half = s.key_depth / 2, keys = s.heads * s.key_height * s.key_depth * f.key_row;
    const int64_t values = s.heads * s.key_height * s.key_width * f.value_row;
    f.keys = scratch.floats(keys + values + (s.heads + 1) * half * f.table);
    if (f.keys == nullptr) return 1;
    f.values = f.keys + keys, f.query_columns = f.values + values, f.key_columns = f.query_columns + half * f.table;
    if (s.columns.query_table != nullptr) {
        memset(f.query_columns, 0, sizeof(float) * static_cast<size_t>(half * f.table));
        const int64_t both = least(f.far, s.columns.table_reach);
        for (int64_t i = -both; i <= both; ++i) {
            for (int64_t d = 0; d < half; ++d) f.query_columns[d * f.table + f.far + i] = s.columns.query_table[(i + s.columns.table_reach) * half + d];
        }
    }
    for (f.n = 0; f.n < a->batch; ++f.n) {
        in_parallel(pack_head, &f, s.heads, threads, parallel);
        in_parallel(attention2d_piece, &f, s.heads * a->height * divide_up(a->width, QUERIES2D), threads, parallel);
    }
    return f.failed ? 1 : 0;
}

}  // namespace
#endif

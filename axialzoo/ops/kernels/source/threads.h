// Parallel work in pieces that threads take in turn. Which thread takes a piece is left to chance, so a piece keeps its own sums.
#ifndef AXIAL_THREADS_H
#define AXIAL_THREADS_H

#include <pthread.h>

#include "axial.h"
#include "vector.h"

namespace {

struct Pieces {
    void (*piece)(void* arguments, int64_t index);
    void* arguments;
    int64_t count, next;
};

inline void work(void* data) {
    Pieces* pieces = static_cast<Pieces*>(data);
    for (;;) {
        const int64_t index = __atomic_fetch_add(&pieces->next, 1, __ATOMIC_RELAXED);
        if (index >= pieces->count) return;
        pieces->piece(pieces->arguments, index);
    }
}

inline void* work_in_thread(void* data) {
    work(data);
    return nullptr;
}

// Calls piece(arguments, 0 .. count - 1), each once, on at most `threads` threads; fewer if a thread cannot be started.
inline void in_parallel(void (*piece)(void*, int64_t), void* arguments, int64_t count, int threads, AxialParallel parallel) {
    Pieces pieces{piece, arguments, count, 0};
    threads = static_cast<int>(least(threads, count));
    if (threads <= 1) return work(&pieces);
    if (parallel != nullptr) return parallel(work, &pieces, static_cast<unsigned>(threads), 0);
    constexpr int MOST = 64;
    pthread_t others[MOST];
    int started = 0;
    while (started < threads - 1 && started < MOST && pthread_create(&others[started], nullptr, work_in_thread, &pieces) == 0) ++started;
    work(&pieces);
    for (int i = 0; i < started; ++i) pthread_join(others[i], nullptr);
}

}  // namespace
#endif

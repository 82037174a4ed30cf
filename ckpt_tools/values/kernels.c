/* The sums that comparing and measuring checkpoints come down to, each in one pass over the numbers. `kernels.py` calls this, and numpy does the same where this is not installed.

   The same to the last bit on every machine: numbers become doubles without loss, and are added up in a fixed order, LANES at a time, in vectors where
   the processor has them. A product is fused with a sum only where it is exact by itself. No state, no memory of its own, no library. */

#include <stddef.h>
#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors is little-endian, and this reads its numbers as they are"
#endif

enum {
    LANES = 4,
    ROW = 1024,      /* numbers whose sums are added to those of other rows: the rounding of long sums stays small */
    BLOCK = 1 << 16, /* bytes that are read at once: they are still in the core's cache when they are added up */
    GLANCE = 1 << 12,
};

typedef double doubles __attribute__((ext_vector_type(LANES)));
typedef float floats __attribute__((ext_vector_type(LANES)));
typedef int32_t ints __attribute__((ext_vector_type(LANES)));
typedef uint32_t words __attribute__((ext_vector_type(LANES)));
typedef uint16_t halves __attribute__((ext_vector_type(LANES)));

typedef float f32;
typedef uint16_t bf16, f16;
typedef unsigned char u8;

#define INLINE static inline __attribute__((always_inline))

/* --- numbers as they are stored: their bits, and the floats that these stand for ------------------------------------------ */

INLINE floats as_floats(words bits)
{
    floats numbers;
    __builtin_memcpy(&numbers, &bits, sizeof numbers);
    return numbers;
}

INLINE words as_words(floats numbers)
{
    words bits;
    __builtin_memcpy(&bits, &numbers, sizeof bits);
    return bits;
}

INLINE words bits_f32(const f32 *from)
{
    words bits;
    __builtin_memcpy(&bits, from, sizeof bits);
    return bits;
}

INLINE words bits_bf16(const bf16 *from)
{
    halves bits;
    __builtin_memcpy(&bits, from, sizeof bits);
    return __builtin_convertvector(bits, words);
}

INLINE words bits_f16(const f16 *from) { return bits_bf16(from); }

INLINE floats floats_f32(words bits) { return as_floats(bits); }

INLINE floats floats_bf16(words bits) { return as_floats(bits << 16); }

/* Exponent and mantissa go where a float has them. The product makes the exponent right, for subnormals too; infinities and NaN are put back. */
INLINE floats floats_f16(words bits)
{
    words sign = (bits & 0x8000) << 16, size = (bits & 0x7FFF) << 13;
    words endless = (words)(size >= 0x0F800000) & 0x7F800000;
    return as_floats(as_words(as_floats(size) * 0x1p112f) | endless | sign);
}

INLINE doubles wide(floats numbers) { return __builtin_convertvector(numbers, doubles); }

/* Doubles that hold floats have exact products: fused, where the processor can, the sum is the same. */
INLINE doubles plus_product(doubles sum, doubles x, doubles y, int fused)
{
    return fused ? __builtin_elementwise_fma(x, y, sum) : sum + x * y;
}

INLINE double added(doubles lanes) { return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]); }

/* The last numbers of a row that fill no vector, followed by zeros. */
#define REST(TYPE, rest, from, count) \
    TYPE rest[LANES] = {0}; \
    for (size_t lane = 0; lane < LANES; lane++) \
        if (lane < (count)) \
            rest[lane] = (from)[lane];

/* --- files ---------------------------------------------------------------------------------------------------------------- */

/* Bytes of a file from an offset on, and where a block of them is looked at. They are read by pread, which the caller has. */
struct source {
    ptrdiff_t (*read)(int, void *, size_t, int64_t);
    int64_t descriptor, offset;
    u8 *memory;
    size_t size;
};

INLINE size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Whether `length` bytes from `start` on are in memory now. If not, the caller finds out why. */
INLINE int filled(const struct source *from, size_t start, size_t length)
{
    for (size_t done = 0; done < length;) {
        ptrdiff_t count = from->read((int)from->descriptor, from->memory + done, length - done, from->offset + (int64_t)(start + done));
        if (count <= 0)
            return 0;
        done += (size_t)count;
    }
    return 1;
}

/* --- two tensors ---------------------------------------------------------------------------------------------------------- */

struct pair_sums {
    int64_t changed;
    double max_abs, aa, bb, dd, ab;
};

struct pair_row {
    ints changed;
    doubles max_abs, aa, bb, dd, ab;
};

INLINE void pair_step(struct pair_row *row, floats a, floats b, int fused)
{
    doubles x = wide(a), y = wide(b), d = y - x, size = __builtin_elementwise_abs(d);
    row->changed -= a != b;
    row->max_abs = size > row->max_abs ? size : row->max_abs;
    row->aa = plus_product(row->aa, x, x, fused);
    row->bb = plus_product(row->bb, y, y, fused);
    row->dd += d * d; /* which may have to be rounded, as no product of two floats has */
    row->ab = plus_product(row->ab, x, y, fused);
}

INLINE void pair_end(struct pair_sums *sums, struct pair_row row)
{
    double most = __builtin_reduce_max(row.max_abs);
    sums->changed += __builtin_reduce_add(row.changed);
    sums->max_abs = most > sums->max_abs ? most : sums->max_abs;
    sums->aa += added(row.aa);
    sums->bb += added(row.bb);
    sums->dd += added(row.dd);
    sums->ab += added(row.ab);
}

INLINE void pair_total(struct pair_sums *total, struct pair_sums sums)
{
    total->changed += sums.changed;
    total->max_abs = sums.max_abs > total->max_abs ? sums.max_abs : total->max_abs;
    total->aa += sums.aa;
    total->bb += sums.bb;
    total->dd += sums.dd;
    total->ab += sums.ab;
}

#define PAIR(A, B, LEVEL, TARGET, FUSED) \
    TARGET void pair_##A##_##B##LEVEL(const A *a, const B *b, size_t count, struct pair_sums *sums) \
    { \
        *sums = (struct pair_sums){0}; \
        for (size_t length; count; a += length, b += length, count -= length) { \
            struct pair_row row = {0}; \
            size_t at = 0; \
            length = least(count, ROW); \
            for (; at + LANES <= length; at += LANES) \
                pair_step(&row, floats_##A(bits_##A(a + at)), floats_##B(bits_##B(b + at)), FUSED); \
            REST(A, rest_a, a + at, length - at) \
            REST(B, rest_b, b + at, length - at) \
            pair_step(&row, floats_##A(bits_##A(rest_a)), floats_##B(bits_##B(rest_b)), FUSED); \
            pair_end(sums, row); \
        } \
    } \
 \
    TARGET size_t pair_of_files_##A##_##B##LEVEL(const struct source *a, const struct source *b, size_t count, struct pair_sums *total) \
    { \
        size_t done = 0, block = least(BLOCK, least(a->size, b->size)) / (sizeof(A) > sizeof(B) ? sizeof(A) : sizeof(B)); \
        *total = (struct pair_sums){0}; \
        for (size_t length; block && done < count; done += length) { \
            struct pair_sums sums; \
            length = least(count - done, block); \
            if (!filled(a, done * sizeof(A), length * sizeof(A)) || !filled(b, done * sizeof(B), length * sizeof(B))) \
                break; \
            pair_##A##_##B##LEVEL((const A *)a->memory, (const B *)b->memory, length, &sums); \
            if (!(sums.aa + sums.bb < __builtin_inf())) \
                break; \
            pair_total(total, sums); \
        } \
        return done; \
    }

/* --- one tensor ----------------------------------------------------------------------------------------------------------- */

struct one_sums {
    int64_t nonzero;
    uint64_t bits;
    double low, high, sum, squares;
};

struct one_row {
    ints nonzero;
    words bits;
    floats low, high;
    doubles sum, squares;
};

INLINE void one_step(struct one_row *row, words bits, floats a, int fused)
{
    doubles x = wide(a);
    row->nonzero -= a != 0;
    row->bits |= bits;
    row->sum += x;
    row->squares = plus_product(row->squares, x, x, fused);
}

INLINE void one_range(struct one_row *row, floats a)
{
    row->low = a < row->low ? a : row->low;
    row->high = a > row->high ? a : row->high;
}

INLINE void one_end(struct one_sums *sums, struct one_row row)
{
    float low = __builtin_reduce_min(row.low), high = __builtin_reduce_max(row.high);
    sums->nonzero += __builtin_reduce_add(row.nonzero);
    sums->bits |= __builtin_reduce_or(row.bits);
    sums->low = low < sums->low ? low : sums->low;
    sums->high = high > sums->high ? high : sums->high;
    sums->sum += added(row.sum);
    sums->squares += added(row.squares);
}

INLINE void one_total(struct one_sums *total, struct one_sums sums)
{
    total->nonzero += sums.nonzero;
    total->bits |= sums.bits;
    total->low = sums.low < total->low ? sums.low : total->low;
    total->high = sums.high > total->high ? sums.high : total->high;
    total->sum += sums.sum;
    total->squares += sums.squares;
}

#define NOTHING (struct one_sums){.low = __builtin_inf(), .high = -__builtin_inf()}

#define ONE(A, LEVEL, TARGET, FUSED) \
    TARGET void one_##A##LEVEL(const A *a, size_t count, struct one_sums *sums) \
    { \
        *sums = NOTHING; \
        for (size_t length; count; a += length, count -= length) { \
            struct one_row row = {.low = __builtin_inff(), .high = -__builtin_inff()}; \
            size_t at = 0; \
            length = least(count, ROW); \
            for (; at + LANES <= length; at += LANES) { \
                words bits = bits_##A(a + at); \
                one_step(&row, bits, floats_##A(bits), FUSED); \
                one_range(&row, floats_##A(bits)); \
            } \
            REST(A, rest, a + at, length - at) \
            one_step(&row, bits_##A(rest), floats_##A(bits_##A(rest)), FUSED); \
            for (size_t lane = 0; lane < length - at; lane++) \
                one_range(&row, floats_##A(bits_##A(rest))[lane]); \
            one_end(sums, row); \
        } \
    } \
 \
    TARGET size_t one_of_file_##A##LEVEL(const struct source *a, size_t count, struct one_sums *total) \
    { \
        size_t done = 0, block = least(BLOCK, a->size) / sizeof(A); \
        *total = NOTHING; \
        for (size_t length; block && done < count; done += length) { \
            struct one_sums sums; \
            length = least(count - done, block); \
            if (!filled(a, done * sizeof(A), length * sizeof(A))) \
                break; \
            one_##A##LEVEL((const A *)a->memory, length, &sums); \
            if (!(sums.squares < __builtin_inf())) \
                break; \
            one_total(total, sums); \
        } \
        return done; \
    }

/* --- bytes ---------------------------------------------------------------------------------------------------------------- */

/* 1 where all are the same, 0 where some differ, -1 where they could not be read. Ends where it knows: mostly in the first few. */
#define SAME(LEVEL, TARGET) \
    TARGET int same_in_files##LEVEL(const struct source *a, const struct source *b, size_t count) \
    { \
        for (size_t done = 0, length; done < count; done += length) { \
            size_t block = least(done ? BLOCK : GLANCE, least(a->size, b->size)); \
            u8 different = 0; \
            length = least(count - done, block); \
            if (!block || !filled(a, done, length) || !filled(b, done, length)) \
                return -1; \
            for (size_t at = 0; at < length; at++) \
                different |= a->memory[at] ^ b->memory[at]; \
            if (different) \
                return 0; \
        } \
        return 1; \
    }

/* --- what is exported: each for every processor of the kind, and again for those that have wider vectors ------------------- */

#define ALL(LEVEL, TARGET, FUSED) \
    PAIR(f32, f32, LEVEL, TARGET, FUSED) \
    PAIR(f32, bf16, LEVEL, TARGET, FUSED) \
    PAIR(f32, f16, LEVEL, TARGET, FUSED) \
    PAIR(bf16, f32, LEVEL, TARGET, FUSED) \
    PAIR(bf16, bf16, LEVEL, TARGET, FUSED) \
    PAIR(bf16, f16, LEVEL, TARGET, FUSED) \
    PAIR(f16, f32, LEVEL, TARGET, FUSED) \
    PAIR(f16, bf16, LEVEL, TARGET, FUSED) \
    PAIR(f16, f16, LEVEL, TARGET, FUSED) \
    ONE(f32, LEVEL, TARGET, FUSED) \
    ONE(bf16, LEVEL, TARGET, FUSED) \
    ONE(f16, LEVEL, TARGET, FUSED) \
    SAME(LEVEL, TARGET)

#ifdef __aarch64__
ALL(, , 1)
#else
ALL(, , 0)
#endif

/* The checksum of this file, by which `kernels.py` checks that the library is that of its own version. */
uint32_t source_sum(void) { return SOURCE_SUM; }

#ifdef __x86_64__
#include <cpuid.h>

ALL(_wide, __attribute__((target("avx2,fma"))), 1)

/* Whether this processor has what `_wide` asks for, and the system keeps its registers. */
int has_wide(void)
{
    unsigned eax, ebx, ecx, edx, kept;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE) || !(ecx & bit_FMA))
        return 0;
    __asm__("xgetbv" : "=a"(kept), "=d"(edx) : "c"(0));
    return (kept & 6) == 6 && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx & bit_AVX2);
}
#else
int has_wide(void) { return 0; }
#endif

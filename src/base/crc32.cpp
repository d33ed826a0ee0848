#include "base/crc32.h"

#include <zlib.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace intaglio {
namespace {

// `crc` is the checksum of what came before.
uint32_t by_table(uint32_t crc, std::span<const std::byte> bytes) {
  if (bytes.empty()) return crc;  // zlib takes a null pointer as the wish to start anew
  return static_cast<uint32_t>(::crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

#if defined(__x86_64__)

#define INTAGLIO_CLMUL __attribute__((target("pclmul,sse4.1")))

INTAGLIO_CLMUL inline __m128i load(const std::byte* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }

// 128 bits moved on by the distance that `powers` stands for, plus what stands there.
INTAGLIO_CLMUL inline __m128i fold(__m128i state, __m128i powers, __m128i next) {
  return _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(state, powers, 0x00), _mm_clmulepi64_si128(state, powers, 0x11)), next);
}

// Folding with carry-less multiplication, after Gopal et al., "Fast CRC Computation for Generic Polynomials Using
// PCLMULQDQ Instruction" (Intel, 2009). The constants are powers of x modulo the polynomial, bit-reflected:
// x^(512+-32), x^(128+-32), x^64, and for the last step the polynomial and its reciprocal.
// At least 64 bytes, a multiple of 16.
INTAGLIO_CLMUL uint32_t by_multiplication(uint32_t crc, std::span<const std::byte> bytes) {
  const __m128i by_512 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
  const __m128i by_128 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
  const __m128i by_64 = _mm_set_epi64x(0, 0x0163cd6124);
  const __m128i barrett = _mm_set_epi64x(0x01f7011641, 0x01db710641);
  const __m128i low_words = _mm_set_epi32(0, -1, 0, -1);

  const std::byte* at = bytes.data();
  size_t left = bytes.size() - 64;
  __m128i a = _mm_xor_si128(load(at), _mm_cvtsi32_si128(static_cast<int>(~crc)));
  __m128i b = load(at + 16), c = load(at + 32), d = load(at + 48);
  for (at += 64; left >= 64; at += 64, left -= 64) {
    a = fold(a, by_512, load(at));
    b = fold(b, by_512, load(at + 16));
    c = fold(c, by_512, load(at + 32));
    d = fold(d, by_512, load(at + 48));
  }
  a = fold(fold(fold(a, by_128, b), by_128, c), by_128, d);
  for (; left >= 16; at += 16, left -= 16) a = fold(a, by_128, load(at));

  // 128 bits to 64, to 32.
  a = _mm_xor_si128(_mm_srli_si128(a, 8), _mm_clmulepi64_si128(a, by_128, 0x10));
  a = _mm_xor_si128(_mm_srli_si128(a, 4), _mm_clmulepi64_si128(_mm_and_si128(a, low_words), by_64, 0x00));
  __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(a, low_words), barrett, 0x10);
  quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, low_words), barrett, 0x00);
  return ~static_cast<uint32_t>(_mm_extract_epi32(_mm_xor_si128(a, quotient), 1));
}

#endif

}  // namespace

uint32_t crc32_of(std::span<const std::byte> bytes, uint32_t before) {
#if defined(__x86_64__)
  static const bool multiplies = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
  if (multiplies && bytes.size() >= 64) {
    const size_t blocks = bytes.size() / 16 * 16;
    return by_table(by_multiplication(before, bytes.first(blocks)), bytes.subspan(blocks));
  }
#endif
  return by_table(before, bytes);
}

}  // namespace intaglio

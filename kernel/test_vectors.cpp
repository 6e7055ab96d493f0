// Hold every path of this processor to the golden files in vectors/: fanin_test_vectors DIRECTORY.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "fanin/fill.hpp"
#include "fanin/haar.hpp"
#include "fanin/keys.hpp"
#include "fanin/transform.hpp"

namespace {

using Row = std::map<std::string, std::string>;

const char* const dtype_names[fanin::dtype_count] = {"float32",  "float64",       "float16",
                                                     "bfloat16", "float8_e4m3fn", "float8_e5m2"};

std::vector<std::string> split(const std::string& line, char separator) {
    std::vector<std::string> cells;
    std::stringstream stream(line);
    for (std::string cell; std::getline(stream, cell, separator);) cells.push_back(cell);
    return cells;
}

// Titles are last and may hold quoted commas; no other cell does.
std::vector<Row> read(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    if (!std::getline(file, line)) {
        std::fprintf(stderr, "cannot read %s\n", path.c_str());
        std::exit(2);
    }
    const std::vector<std::string> header = split(line, ',');
    std::vector<Row> rows;
    while (std::getline(file, line)) {
        const std::vector<std::string> cells = split(line, ',');
        Row row;
        for (std::size_t i = 0; i < header.size(); ++i) row[header[i]] = cells.at(i);
        rows.push_back(row);
    }
    return rows;
}

std::uint64_t integer(const Row& row, const char* column, int base = 10) {
    return std::strtoull(row.at(column).c_str(), nullptr, base);
}

double number(const Row& row, const char* column) { return std::strtod(row.at(column).c_str(), nullptr); }

struct Case {
    fanin::Dtype dtype;
    fanin::Key key;
    fanin::Recipe recipe;
    std::uint64_t begin;
};

Case case_of(const Row& row) {
    const auto word = [&](const char* column) { return static_cast<std::uint32_t>(integer(row, column)); };
    Case made = {};
    for (int i = 0; i < fanin::dtype_count; ++i)
        if (row.at("dtype") == dtype_names[i]) made.dtype = static_cast<fanin::Dtype>(i);
    made.key = {word("key0"), word("key1"), word("counter2"), word("counter3")};
    made.recipe.kind = static_cast<fanin::Kind>(integer(row, "kind"));
    made.recipe.wide = integer(row, "wide") != 0;
    made.recipe.scale = number(row, "scale");
    made.recipe.shift = number(row, "shift");
    made.recipe.low = number(row, "low");
    made.recipe.high = number(row, "high");
    made.recipe.start = integer(row, "start");
    made.recipe.width = integer(row, "width");
    made.recipe.far = {number(row, "near"), number(row, "ratio"), number(row, "complement"),
                       integer(row, "mirrored") != 0};
    made.begin = integer(row, "begin");
    return made;
}

std::vector<unsigned char> filled(const fanin::Path& path, const Case& made, std::size_t count, unsigned threads) {
    std::vector<unsigned char> bytes(count * fanin::item_size(made.dtype));
    fanin::fill(path, bytes.data(), made.dtype, made.begin, count, made.key, made.recipe, threads);
    return bytes;
}

// A matrix whose columns lie one after the other, a part of it from the third column on, against the same
// numbers in a row from the path that knows no lines.
bool same_turned(const fanin::Path& path, const fanin::Path& plain, Case made) {
    constexpr std::size_t rows = 75, columns = 68, cut = 2;
    // A stream ends after 2^64 elements.
    made.begin = std::min(made.begin, ~std::uint64_t{0} - rows * columns);
    const std::size_t size = fanin::item_size(made.dtype);
    const std::vector<unsigned char> expected = filled(plain, made, rows * columns, 1);
    std::vector<unsigned char> turned(rows * (columns - cut) * size);
    const std::vector<fanin::Dimension> shape = {{rows, columns, static_cast<std::ptrdiff_t>(size)},
                                                 {columns - cut, 1, static_cast<std::ptrdiff_t>(rows * size)}};
    fanin::fill_region(path, turned.data(), made.dtype, made.begin + cut, shape, made.key, made.recipe, 2);
    for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t column = cut; column < columns; ++column)
            if (std::memcmp(&expected[(row * columns + column) * size], &turned[((column - cut) * rows + row) * size],
                            size) != 0)
                return false;
    return true;
}

// The files hold little-endian patterns, as every processor with a path here stores them.
std::string hexadecimal(const std::vector<unsigned char>& bytes, std::size_t size) {
    std::string text;
    char digits[3];
    for (std::size_t i = 0; i < bytes.size(); i += size) {
        if (i != 0) text += ' ';
        for (std::size_t j = size; j-- > 0;) {
            std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(bytes[i + j]));
            text += digits;
        }
    }
    return text;
}

std::uint64_t fnv1a(const std::vector<unsigned char>& bytes) {
    std::uint64_t state = 0xCBF29CE484222325u;
    for (std::size_t i = 0; i + 4 <= bytes.size(); i += 4) {
        std::uint32_t word;
        std::memcpy(&word, bytes.data() + i, 4);
        state = (state ^ word) * 0x100000001B3u;
    }
    return state;
}

// Every 1021st word, and both ends of each half: rare octaves and the table's edges are among them.
bool same_normals(const fanin::Path& path) {
    std::vector<std::uint32_t> words = {0, 1, 0x7FFFFFFFu, 0x80000000u, 0x80000001u, 0xFFFFFFFFu};
    for (std::uint64_t word = 0; word < (std::uint64_t{1} << 32); word += 1021)
        words.push_back(static_cast<std::uint32_t>(word));
    std::vector<float> normals(words.size());
    path.normals(words.data(), words.size(), normals.data());
    for (std::size_t i = 0; i < words.size(); ++i) {
        const float expected = fanin::normal32(words[i]);
        if (std::memcmp(&expected, &normals[i], sizeof expected) != 0) return false;
    }
    return true;
}

// Names of all lengths around a block's, alone and side by side.
bool same_keys(const fanin::Path& path) {
    const std::string letters(200, 'n');
    std::vector<std::string_view> names;
    for (std::size_t size = 1; size < letters.size(); ++size) names.push_back(std::string_view(letters).substr(0, size));
    std::vector<fanin::Key> keys(names.size());
    path.keys(7, names.data(), names.size(), keys.data());
    for (std::size_t i = 0; i < names.size(); ++i) {
        const fanin::Key expected = fanin::stream_key(7, &names[i], 1, "weight");
        if (std::memcmp(&expected, &keys[i], sizeof expected) != 0) return false;
    }
    return true;
}

// Rows [from, until) blocks of a matrix, the last first; W of the type T, its corner at (corner, corner).
template <class T>
void haar_blocks(const fanin::HaarPath& path, const std::vector<float>& normals, std::size_t rows, std::size_t columns,
                 std::size_t from, std::size_t until, std::size_t corner, unsigned threads, std::vector<T>& out) {
    const std::size_t wide = columns - corner, blocks = (until - from + fanin::block_rows - 1) / fanin::block_rows;
    for (std::size_t k = blocks; k-- > 0;) {
        const std::size_t first = from + k * fanin::block_rows, count = std::min(fanin::block_rows, rows - first);
        std::vector<T> x;
        for (std::size_t i = first; i < first + count; ++i)
            for (std::size_t j = first; j < columns; ++j) x.push_back(static_cast<T>(normals[i * columns + j]));
        const std::size_t at = first - corner;
        const fanin::HaarStep<T> step = {out.data() + at * wide + at,         rows - first, columns - first,
                                         static_cast<std::ptrdiff_t>(wide), x.data(),     count};
        fanin::haar_steps(path, &step, 1, threads, {});
    }
}

template <class T>
std::vector<unsigned char> haar(const fanin::HaarPath& path, const Row& row, unsigned threads) {
    const std::size_t rows = integer(row, "rows"), columns = integer(row, "columns");
    const auto word = [&](const char* column) { return static_cast<std::uint32_t>(integer(row, column)); };
    fanin::Recipe normal = {};
    normal.kind = fanin::Kind::normal;
    normal.scale = 1.0;
    std::vector<float> normals(rows * columns);
    fanin::fill(**fanin::available_paths(), normals.data(), fanin::Dtype::float32, 0, normals.size(),
                {word("key0"), word("key1"), word("counter2"), word("counter3")}, normal, 1);
    std::vector<T> out(rows * columns);
    std::size_t tail = rows;
    if (sizeof(T) == sizeof(float)) {
        tail = 0;
        while (tail < rows && columns - tail > 2 * fanin::block_rows) tail += fanin::block_rows;
        tail = std::min(tail, rows);
        std::vector<double> precise((rows - tail) * (columns - tail));
        haar_blocks(path, normals, rows, columns, tail, rows, tail, threads, precise);
        for (std::size_t i = tail; i < rows; ++i)
            for (std::size_t j = tail; j < columns; ++j)
                out[i * columns + j] = static_cast<T>(precise[(i - tail) * (columns - tail) + j - tail]);
    }
    haar_blocks(path, normals, rows, columns, 0, tail, 0, threads, out);
    std::vector<unsigned char> bytes(out.size() * sizeof(T));
    std::memcpy(bytes.data(), out.data(), bytes.size());
    return bytes;
}

int failures = 0, checks = 0;

void check(bool good, const char* what, const char* path, std::size_t row) {
    ++checks;
    if (good) return;
    ++failures;
    std::fprintf(stderr, "%s differs: path %s, row %zu\n", what, path, row + 1);
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 2) {
        std::fprintf(stderr, "usage: fanin_test_vectors DIRECTORY\n");
        return 2;
    }
    const std::string directory = arguments[1];

    const std::vector<Row> answers = read(directory + "/philox4x32_10.csv");
    for (std::size_t i = 0; i < answers.size(); ++i) {
        const auto word = [&](const char* column) {
            return static_cast<std::uint32_t>(integer(answers[i], column, 16));
        };
        std::uint32_t block[4] = {word("counter0"), word("counter1"), word("counter2"), word("counter3")};
        fanin::philox(block, word("key0"), word("key1"));
        const bool good = block[0] == word("word0") && block[1] == word("word1") &&
                          block[2] == word("word2") && block[3] == word("word3");
        check(good, "philox4x32_10.csv", "portable", i);
    }

    const std::vector<Row> keys = read(directory + "/keys.csv");
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const std::vector<std::string> parts = split(keys[i].at("name"), '|');
        const std::vector<std::string_view> name(parts.begin(), parts.end());
        const fanin::Key key = fanin::stream_key(integer(keys[i], "seed"), name.data(), name.size(), keys[i].at("role"));
        const bool good = key.key0 == integer(keys[i], "key0") && key.key1 == integer(keys[i], "key1") &&
                          key.counter2 == integer(keys[i], "counter2") && key.counter3 == integer(keys[i], "counter3");
        check(good, "keys.csv", "any", i);
    }

    const std::vector<Row> streams = read(directory + "/streams.csv");
    const std::vector<Row> digests = read(directory + "/digests.csv");
    // The last of all paths is in plain C++.
    const fanin::Path* portable = *fanin::available_paths();
    for (const fanin::Path* const* path = fanin::available_paths(); *path; ++path) portable = *path;
    for (const fanin::Path* const* path = fanin::available_paths(); *path; ++path) {
        check(same_keys(**path), "a key", (*path)->name, 0);
        check(same_normals(**path), "a normal", (*path)->name, 0);
        for (std::size_t i = 0; i < streams.size(); ++i) {
            const Case made = case_of(streams[i]);
            const std::string& expected = streams[i].at("elements");
            const std::size_t elements = split(expected, ' ').size();
            const std::string got = hexadecimal(filled(**path, made, elements, 1), fanin::item_size(made.dtype));
            check(got == expected, "streams.csv", (*path)->name, i);
            check(same_turned(**path, *portable, made), "a turned matrix", (*path)->name, i);
        }
        for (std::size_t i = 0; i < digests.size(); ++i) {
            const Case made = case_of(digests[i]);
            const std::size_t elements = integer(digests[i], "count");
            for (unsigned threads : {1u, 3u}) {
                const std::uint64_t got = fnv1a(filled(**path, made, elements, threads));
                check(got == integer(digests[i], "fnv1a", 16), "digests.csv", (*path)->name, i);
            }
        }
    }
    const std::vector<Row> matrices = read(directory + "/haar.csv");
    for (const fanin::HaarPath* const* path = fanin::haar_paths(); *path; ++path)
        for (std::size_t i = 0; i < matrices.size(); ++i)
            for (unsigned threads : {1u, 3u}) {
                const Row& row = matrices[i];
                const bool wide = row.at("dtype") == "float64";
                const std::uint64_t got = fnv1a((wide ? haar<double> : haar<float>)(**path, row, threads));
                check(got == integer(row, "fnv1a", 16), "haar.csv", (*path)->name, i);
            }
    std::printf("paths:");
    for (const fanin::Path* const* path = fanin::available_paths(); *path; ++path) std::printf(" %s", (*path)->name);
    std::printf("\n%d checks, %d failures\n", checks, failures);
    return failures == 0 && checks > 0 ? 0 : 1;
}

"""A small pool of workers that share a table."""
import multiprocessing, time

table = list(range(2_000_000))

def work(n):
    rows = [table[i] + n for i in range(0, len(table), 4 - n % 3)]
    time.sleep(0.3)
    return sum(rows)

if __name__ == "__main__":
    with multiprocessing.Pool(4) as pool:
        print(pool.map(work, range(8), chunksize=1)[:2])

import java.util.Scanner;

/**
 * Reads numbers, makes that many bytes of garbage for each, and answers with the bytes of heap in use.
 */
public class Garbage {
    static Object last; // so that nothing is optimized away

    public static void main(String[] arguments) {
        Scanner lines = new Scanner(System.in);
        while (lines.hasNextInt()) {
            for (int left = lines.nextInt(); left > 0; left -= 1040)
                last = new byte[1024];
            Runtime runtime = Runtime.getRuntime();
            System.out.println(runtime.totalMemory() - runtime.freeMemory());
            System.out.flush();
        }
    }
}
